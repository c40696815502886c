import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { SyncAgentError } from '../platform/errors.ts';
import type { FileSystem } from '../platform/file-system.ts';
import { mountsBelow } from '../platform/mounts.ts';
import { lstatOrNone } from './move-entries.ts';

/**
 * Handles other file systems that are mounted below a store (a second volume, a ConfigMap, a single file) before `data` replaces
 * the store. They are never moved or emptied. If a mount holds what the snapshot has in its place, that part is removed from
 * `data`, and the mount stays. If it does not, rejects with REFUSED before anything is changed. Resolves to the mounts.
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
      `Cannot replace "${store}": another file system is mounted at "${mount}" in it, and its content differs from the snapshot's`,
      {
        remedy:
          'Unmount it, or restore the snapshot elsewhere with "sync-agent restore --to" and copy what you need',
      },
    );
  }
  for (const mount of mounts) await fs.remove(join(data, mount));
  return mounts;
}

/** Whether the path is free or a directory, and so is everything above it. */
async function hasDirectories(root: string, relative: string): Promise<boolean> {
  if (relative === '.') return true;
  const stats = await lstatOrNone(join(root, relative));
  return stats === undefined ? hasDirectories(root, dirname(relative)) : stats.isDirectory();
}

/** Whether `present` has everything that `wanted` has. It may have more. */
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
