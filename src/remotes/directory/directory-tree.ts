import { lstatSync, statSync } from 'node:fs';
import type { BigIntStats, Dirent } from 'node:fs';
import { lstat, readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { SyncAgentError, errnoOf } from '../../platform/errors.ts';
import { fileTimeMs } from '../../platform/file-system.ts';
import { quickCalls } from '../../platform/quick/quick-calls.ts';
import { compareKeys } from '../key.ts';
import type { DirectoryDisk } from './directory-disk.ts';
import type { ObjectInfo } from '../remote.ts';

/** Below the root of a directory remote: files being written. Never listed, refused as the start of a key. */
export const temporaryDirectory = '.sync-agent.tmp';

/** The entry itself, never what a symbolic link points to; undefined if there is none. */
export async function statEntry(path: string): Promise<BigIntStats | undefined> {
  try {
    return await quickCalls.make(
      () => lstatSync(path, { bigint: true, throwIfNoEntry: false }),
      () => lstat(path, { bigint: true }),
    );
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}

/**
 * The device of the root; undefined if there is none. A missing root is an empty remote. If there is a file in its place or
 * above it, the remote is out of reach.
 */
export async function assertRoot(root: string, action: string): Promise<bigint | undefined> {
  try {
    const stats = await quickCalls.make(
      () => statSync(root, { bigint: true }),
      () => stat(root, { bigint: true }),
    );
    if (stats.isDirectory()) return stats.dev;
  } catch (error) {
    // The call itself meets every other problem of the root.
    if (errnoOf(error) !== 'ENOTDIR') return undefined;
  }
  throw new SyncAgentError(
    'REMOTE_UNREACHABLE',
    `Cannot ${action}: "${await nearestEntry(root)}" is not a directory`,
    { remedy: 'Check --remote, and that the disk it is on is mounted' },
  );
}

async function nearestEntry(path: string): Promise<string> {
  const isThere = await stat(path).then(
    () => true,
    () => false,
  );
  return isThere || path === dirname(path) ? path : nearestEntry(dirname(path));
}

/** An object's stat; undefined if the key has none. Throws REFUSED for a symbolic link on the way below the root. */
export async function statObject(
  { seen }: Pick<DirectoryDisk, 'seen'>,
  root: string,
  key: string,
): Promise<BigIntStats | undefined> {
  if (!seen.has(dirname(join(root, key)))) {
    for (const parent of parentsOf(key)) {
      const path = join(root, parent);
      const stats = await statEntry(path);
      if (stats === undefined) return undefined;
      refuseLink(stats, root, parent);
      if (stats.isDirectory()) seen.add(path);
    }
  }
  const stats = await statEntry(join(root, key));
  return stats?.isFile() === true ? stats : undefined;
}

/** Creates the directories that lead to `key`, each durable. Throws REFUSED if a link or an object is in the way. */
export async function makeParents(disk: DirectoryDisk, root: string, key: string): Promise<void> {
  if (disk.seen.has(dirname(join(root, key)))) return;
  for (const parent of ['', ...parentsOf(key)]) {
    const path = join(root, parent);
    await disk.added(path);
    const stats = await statEntry(path);
    if (stats === undefined) await disk.addDirectory(path);
    else if (parent !== '') {
      refuseLink(stats, root, parent);
      if (!stats.isDirectory()) {
        throw new SyncAgentError(
          'REFUSED',
          `Cannot create "${key}" in ${root}: "${parent}" is not a directory`,
        );
      }
    }
    disk.seen.add(path);
  }
}

/** The later of the last write and the last change of the inode, for a file of one name. */
export function lastModifiedOf(stats: BigIntStats): Date {
  return new Date(fileTimeMs(stats.mtimeNs > stats.ctimeNs ? stats.mtimeNs : stats.ctimeNs));
}

/** When an object was added, as its directory's time tells it if `stats` cannot. */
export async function objectModified(root: string, key: string, stats: BigIntStats): Promise<Date> {
  const parent = stats.nlink > 1n ? await statEntry(join(root, dirname(key))) : undefined;
  return modifiedOf(stats, parent);
}

/**
 * When an object was added. Hard links share the times of their inode, and each new link would make all of them young; so
 * the directory of the object, looked at after the object, tells when. A mistake makes an object younger, never older.
 */
function modifiedOf(stats: BigIntStats, parent: BigIntStats | undefined): Date {
  if (stats.nlink === 1n || parent === undefined) return lastModifiedOf(stats);
  return new Date(fileTimeMs(stats.mtimeNs > parent.mtimeNs ? stats.mtimeNs : parent.mtimeNs));
}

/** Some of the objects whose key starts with `prefix` and sorts after `startAfter`, then more, in the order of keys. */
export async function* walkObjects(
  root: string,
  { prefix, startAfter = '', most = mostAtOnce }: WalkBounds,
): AsyncGenerator<readonly ObjectInfo[]> {
  const start = prefix.slice(0, prefix.lastIndexOf('/') + 1);
  for (const parent of parentsOf(start)) {
    const stats = await statEntry(join(root, parent));
    if (stats?.isDirectory() !== true) return;
  }
  yield* walkBelow(root, start, { prefix, startAfter, most });
}

/** Names of the directories directly in `below` (empty or ending in `/`) that hold an object at any depth. */
export async function directoriesWithObjects(root: string, below: string): Promise<readonly string[]> {
  const names: string[] = [];
  for (const entry of await entriesOf(root, below)) {
    if (!entry.isDirectory()) continue;
    const first = await walkObjects(root, { prefix: `${below}${entry.name}/`, most: 1 }).next();
    if (first.done !== true) names.push(entry.name);
  }
  return names.toSorted(compareKeys);
}

const mostAtOnce = 1000;

interface WalkBounds {
  readonly prefix: string;
  readonly startAfter?: string;
  /** Objects to look at before the first ones are told. */
  readonly most?: number;
}

async function* walkBelow(
  root: string,
  below: string,
  bounds: Required<WalkBounds>,
): AsyncGenerator<readonly ObjectInfo[]> {
  const { prefix, startAfter, most } = bounds;
  // A directory sorts like its name and a slash: all keys below it start so, and no other entry's do.
  const entries = (await entriesOf(root, below))
    .map((entry) => ({
      isDirectory: entry.isDirectory(),
      key: `${below}${entry.name}${entry.isDirectory() ? '/' : ''}`,
    }))
    .toSorted((a, b) => compareKeys(a.key, b.key));
  let keys: string[] = [];
  for (const { isDirectory, key } of entries) {
    if (keys.length === most || (isDirectory && keys.length > 0)) {
      yield* lookAt(root, below, keys);
      keys = [];
    }
    if (isDirectory) {
      const mayMatch = key.startsWith(prefix) || prefix.startsWith(key);
      if (mayMatch && (compareKeys(key, startAfter) > 0 || startAfter.startsWith(key)))
        yield* walkBelow(root, key, bounds);
    } else if (key.startsWith(prefix) && compareKeys(key, startAfter) > 0) keys.push(key);
  }
  yield* lookAt(root, below, keys);
}

/** One batch of the objects directly in `below`, or none if they are gone. */
async function* lookAt(
  root: string,
  below: string,
  keys: readonly string[],
): AsyncGenerator<readonly ObjectInfo[]> {
  const found: { readonly key: string; readonly stats: BigIntStats }[] = [];
  for (const key of keys) {
    const stats = await statEntry(join(root, key));
    if (stats?.isFile() === true) found.push({ key, stats });
  }
  const isLinked = found.some(({ stats }) => stats.nlink > 1n);
  const parent = isLinked ? await statEntry(join(root, below)) : undefined;
  if (found.length === 0) return;
  yield found.map(({ key, stats }) => ({
    key,
    size: Number(stats.size),
    lastModified: modifiedOf(stats, parent),
  }));
}

async function entriesOf(root: string, below: string): Promise<readonly Dirent[]> {
  try {
    const entries = await readdir(join(root, below), { withFileTypes: true });
    return entries.filter(
      (entry) =>
        (entry.isFile() || entry.isDirectory()) && !(below === '' && entry.name === temporaryDirectory),
    );
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return [];
    throw error;
  }
}

/** `a/b/c` has the parents `a` and `a/b`. */
export function parentsOf(key: string): readonly string[] {
  const segments = key.split('/').slice(0, -1);
  return segments.map((_, index) => segments.slice(0, index + 1).join('/'));
}

function refuseLink(stats: BigIntStats, root: string, path: string): void {
  if (!stats.isSymbolicLink()) return;
  throw new SyncAgentError('REFUSED', `Cannot follow "${join(root, path)}": it is a symbolic link`, {
    remedy: 'Replace it by a directory; a directory remote never leaves its own directory',
  });
}
