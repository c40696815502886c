import { dirname } from 'node:path/posix';
import type { FileEntry } from '../scan.ts';

/** The files of a persisted vector index, in the order in which Chroma writes them, the pickle last. */
export const indexFiles = ['header.bin', 'data_level0.bin', 'length.bin', 'link_lists.bin', 'index_metadata.pickle'];

const pickle = 'index_metadata.pickle';
const quietNs = 25_000_000n;
/** A persist that stops for longer than this was given up: its server died. What it left is for validation to judge. */
const abandonedNs = 30_000_000_000n;

/**
 * Whether no index is being persisted. Chroma rewrites all five files in place, in one order, without a lock that
 * another process could take. So an index rests when its files are older than a timestamp tick, and none is newer
 * than its pickle; a pickle that stays behind for long belongs to a persist that will not go on (or to a copy that
 * did not keep the times).
 */
export function chromaRests(files: readonly FileEntry[], nowMs: number): boolean {
  const now = BigInt(Math.floor(nowMs)) * 1_000_000n;
  const folders = new Map<string, { newest: bigint; pickled: bigint }>();
  for (const { path, mtimeNs } of files) {
    const name = path.slice(path.lastIndexOf('/') + 1);
    if (!path.includes('/') || !indexFiles.includes(name)) continue;
    const folder = folders.get(dirname(path)) ?? { newest: 0n, pickled: 0n };
    if (mtimeNs > folder.newest) folder.newest = mtimeNs;
    if (name === pickle) folder.pickled = mtimeNs;
    folders.set(dirname(path), folder);
  }
  return [...folders.values()].every(({ newest, pickled }) => {
    const age = now - newest;
    return age > quietNs && (pickled >= newest || age > abandonedNs);
  });
}
