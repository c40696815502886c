import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { dirname } from 'node:path/posix';
import type { FileEntry } from '../content/scan.ts';
import type { UnfinishedWrites } from '../store-kind.ts';

/** The files of a persisted vector index, in the order in which Chroma writes them, the pickle last. */
export const indexFiles = [
  'header.bin',
  'data_level0.bin',
  'length.bin',
  'link_lists.bin',
  'index_metadata.pickle',
];

const pickle = 'index_metadata.pickle';
const tickNs = 25_000_000n;
/** Longer than a persist pauses between two writes of which it makes thousands. */
const pauseNs = 500_000_000n;
/** The clock of a file server may be ahead so much. */
const aheadNs = 60_000_000_000n;
/** A time beyond is no write's, whoever set it. */
const absurdNs = 86_400_000_000_000n;

/**
 * Which indexes are being written, as far as times tell. Chroma rewrites all five files in place, in one order, without a lock
 * that another process could take. So an index rests when its files are older than a timestamp tick, and none is newer than
 * its pickle. If one is, its persist is under way, or its server died, or the files are copies that were given the times of
 * their copying: nothing was written to it for `unfinishedMs`, and it is taken as it is, for validation to judge.
 *
 * Without a pickle there is no index: Chroma starts a new one over what is there, from its queue.
 */
export function unfinishedIndexes(
  files: readonly FileEntry[],
  nowMs: number,
  unfinishedMs: number,
): UnfinishedWrites {
  const now = BigInt(Math.floor(nowMs)) * 1_000_000n;
  const unfinishedNs = BigInt(Math.floor(unfinishedMs)) * 1_000_000n;
  const active: FileEntry[] = [];
  const stalled: FileEntry[] = [];
  for (const folder of indexFolders(files).values()) {
    const pickled = pickleOf(folder);
    if (pickled === undefined) continue;
    const age = ageOf(folder, now);
    if (age <= tickNs && age >= -tickNs) active.push(...folder);
    else if (age <= unfinishedNs && !isComplete(folder, pickled, now))
      (age <= pauseNs ? active : stalled).push(...folder);
  }
  return { active, stalled };
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
  const folders = [...indexFolders(files).values()].filter((folder) => (pickleOf(folder)?.size ?? 0) === 0);
  return folders.flatMap((folder) => folder.map(({ path }) => path));
}

function pickleOf(folder: readonly FileEntry[]): FileEntry | undefined {
  return folder.find(({ path }) => path.endsWith(`/${pickle}`));
}

/** Time since the last write. A copy may be given any mtime, but not any ctime. */
function ageOf(folder: readonly FileEntry[], now: bigint): bigint {
  // A time far in the future is no present write's: the clock was set back.
  const times = folder.map((file) => file.ctimeNs).filter((time) => time <= now + aheadNs);
  return times.length === 0 ? now : now - times.reduce((a, b) => (a > b ? a : b));
}

function isComplete(folder: readonly FileEntry[], pickled: FileEntry, now: bigint): boolean {
  // One that is opened to be written is empty first.
  if (pickled.size === 0) return false;
  const others = folder.filter((file) => file !== pickled && file.mtimeNs <= now + absurdNs);
  // A pickle of the future stays the newest whatever is written now.
  const earliest = pickled.mtimeNs <= now + tickNs ? 0n : now;
  return others.every((file) => file.mtimeNs <= pickled.mtimeNs && file.mtimeNs >= earliest);
}

function indexFolders(files: readonly FileEntry[]): ReadonlyMap<string, readonly FileEntry[]> {
  const folders = new Map<string, FileEntry[]>();
  for (const file of files) {
    const name = file.path.slice(file.path.lastIndexOf('/') + 1);
    if (!file.path.includes('/') || !indexFiles.includes(name)) continue;
    const folder = folders.get(dirname(file.path)) ?? [];
    folder.push(file);
    folders.set(dirname(file.path), folder);
  }
  return folders;
}
