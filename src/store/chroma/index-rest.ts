import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { dirname } from 'node:path/posix';
import type { FileEntry } from '../scan.ts';

/** The files of a persisted vector index, in the order in which Chroma writes them, the pickle last. */
export const indexFiles = [
  'header.bin',
  'data_level0.bin',
  'length.bin',
  'link_lists.bin',
  'index_metadata.pickle',
];

const pickle = 'index_metadata.pickle';
const quietNs = 25_000_000n;
/** A persist that stops for longer than this was given up: its server died. What it left is for validation to judge. */
const abandonedNs = 30_000_000_000n;
/** No server's clock is ahead so much: a time beyond is no present write's, whoever set it. */
const dayNs = 86_400_000_000_000n;

/**
 * Whether no index is being persisted. Chroma rewrites all five files in place, in one order, without a lock that
 * another process could take. So an index rests when its files are older than a timestamp tick, and none is newer
 * than its pickle; a pickle that stays behind for long belongs to a persist that will not go on (or to a copy that
 * did not keep the times). An index that was never persisted has no pickle and no links yet.
 */
export function chromaRests(files: readonly FileEntry[], nowMs: number): boolean {
  const now = BigInt(Math.floor(nowMs)) * 1_000_000n;
  return [...indexFolders(files).values()].every((folder) => {
    const times = [...folder.values()].map((file) => file.mtimeNs).filter((time) => time < now + dayNs);
    if (times.length === 0) return true;
    const newest = times.reduce((a, b) => (a > b ? a : b));
    // A time in the future is no present write's.
    const age = now - newest;
    const isQuiet = age > quietNs || age < -quietNs;
    return isQuiet && (isComplete(folder, newest) || age > abandonedNs);
  });
}

/** Whether `dir` holds a vector index that was persisted: then it is a Chroma directory, whatever else is missing. */
export async function hasPersistedIndex(dir: string): Promise<boolean> {
  const entries = await readdir(dir, { withFileTypes: true });
  for (const { name } of entries.filter((entry) => entry.isDirectory())) {
    const files = ['header.bin', pickle].map((each) => lstat(join(dir, name, each)).catch(() => undefined));
    if ((await Promise.all(files)).every((file) => file?.isFile() === true)) return true;
  }
  return false;
}

/** The files that Chroma allots for an index before it has persisted anything in it. */
export function unpersistedIndexFiles(files: readonly FileEntry[]): readonly string[] {
  const folders = [...indexFolders(files).values()].filter((folder) => (folder.get(pickle)?.size ?? 0) === 0);
  return folders.flatMap((folder) => [...folder.values()].map(({ path }) => path));
}

type Folder = ReadonlyMap<string, FileEntry>;

function isComplete(folder: Folder, newest: bigint): boolean {
  const pickled = folder.get(pickle);
  if (pickled !== undefined) return pickled.mtimeNs >= newest;
  const [header, links] = [folder.get('header.bin'), folder.get('link_lists.bin')];
  // The first persist writes the header first, and ends with links and the pickle.
  return header === undefined || (links?.size === 0 && header.mtimeNs <= links.mtimeNs);
}

function indexFolders(files: readonly FileEntry[]): ReadonlyMap<string, Folder> {
  const folders = new Map<string, Map<string, FileEntry>>();
  for (const file of files) {
    const name = file.path.slice(file.path.lastIndexOf('/') + 1);
    if (!file.path.includes('/') || !indexFiles.includes(name)) continue;
    const folder = folders.get(dirname(file.path)) ?? new Map<string, FileEntry>();
    folders.set(dirname(file.path), folder.set(name, file));
  }
  return folders;
}
