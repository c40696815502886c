import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { SyncAgentError, errnoOf } from '../platform/errors.ts';
import type { FileSystem } from '../platform/file-system.ts';
import { mountsBelow } from '../platform/mounts.ts';

/**
 * Other file systems that are mounted below a store, which is about to be replaced by `data`: a second volume, a
 * ConfigMap, a single file. They are not ours to move, to empty or to take along. Where they hold what the snapshot has in their
 * place, that is taken out of `data`, and they stay. Else REFUSED, with nothing touched.
 */
export async function settleInnerMounts(
  fs: FileSystem,
  {
    store,
    data,
    ours,
  }: { readonly store: string; readonly data: string; readonly ours: (path: string) => boolean },
): Promise<readonly string[]> {
  const mounts = (await mountsBelow(store)).filter((path) => !ours(path));
  for (const mount of mounts) {
    const isHeld =
      (await hasDirectories(data, dirname(mount))) && (await holds(join(store, mount), join(data, mount)));
    if (isHeld) continue;
    throw new SyncAgentError(
      'REFUSED',
      `Cannot replace "${store}": another file system is mounted at "${mount}" in it, and the snapshot has other content in that place`,
      {
        remedy: 'Unmount it, or take the snapshot out with "sync-agent restore --to" and copy what you need',
      },
    );
  }
  for (const mount of mounts) await fs.remove(join(data, mount));
  return mounts;
}

/** Whether each directory on the way exists as one, or nothing does. */
async function hasDirectories(root: string, relative: string): Promise<boolean> {
  if (relative === '.') return true;
  const stats = await lstatOrNone(join(root, relative));
  return stats === undefined ? hasDirectories(root, dirname(relative)) : stats.isDirectory();
}

/** Whether `present` has all that `wanted` has. What it has besides is its own. */
async function holds(present: string, wanted: string): Promise<boolean> {
  const [theirs, ours] = await Promise.all([lstatOrNone(present), lstatOrNone(wanted)]);
  if (ours === undefined) return true;
  if (theirs === undefined || theirs.isDirectory() !== ours.isDirectory()) return false;
  if (!ours.isDirectory()) {
    if (theirs.size !== ours.size) return false;
    const [a, b] = await Promise.all([digest(present), digest(wanted)]);
    return a === b;
  }
  for (const name of await readdir(wanted))
    if (!(await holds(join(present, name), join(wanted, name)))) return false;
  return true;
}

async function digest(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

async function lstatOrNone(path: string) {
  return lstat(path).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return undefined;
    throw error;
  });
}
