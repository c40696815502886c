import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { drillRoot, locateHome } from '../../home/home.ts';
import type { Home } from '../../home/home.ts';
import { SyncAgentError } from '../../platform/errors.ts';
import type { Context } from '../context.ts';
import { spareBytes } from '../restore/disk-shortage.ts';

/** The directories of one drill. Nobody else works in them: the caller holds the lock of drills. */
export interface DrillPlace {
  /** A new place to restore to; what was restored before is removed. */
  fresh(): Promise<Home>;
  /** For files of readers and of a server; it exists. */
  readonly scratch: string;
  remove(): Promise<void>;
}

/** Removes what a killed drill left, and makes the directories. */
export async function makeDrillPlace({ home, fs }: Context): Promise<DrillPlace> {
  const root = drillRoot(home);
  const [restored, scratch] = [join(root, 'restored'), join(root, 'scratch')];
  await fs.remove(root);
  await fs.makeDirectory(scratch);
  return {
    scratch,
    fresh: async () => {
      await fs.remove(restored);
      await fs.remove(join(root, '.restored.sync-agent'));
      return locateHome(restored);
    },
    remove: () => fs.remove(root),
  };
}

/**
 * DISK_FULL unless the disk has room for the copy and as much again: its server writes to it, and a backup that begins meanwhile
 * needs an image.
 */
export async function assertRoomForDrill(
  { home, diskSpace }: Context,
  { id, bytes }: { readonly id: string; readonly bytes: number },
): Promise<void> {
  const needed = 2 * bytes + spareBytes;
  const { freeBytes } = await diskSpace(home.dir);
  if (freeBytes >= needed) return;
  throw new SyncAgentError(
    'DISK_FULL',
    `Cannot drill snapshot ${id}: it needs ${needed} bytes at "${home.dir}", twice its size, and ${freeBytes} are free`,
    { remedy: 'Free some space there' },
  );
}

/** A restored file with another name, or a link to something, would lead a server or damage out of the drill's own directory. */
export async function assertOwnFiles(dir: string): Promise<void> {
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const stats = await lstat(path);
    if (stats.isDirectory() || (stats.isFile() && stats.nlink === 1)) continue;
    throw new SyncAgentError('INTERNAL', `Cannot drill in "${dir}": "${path}" is no file of its own`);
  }
}
