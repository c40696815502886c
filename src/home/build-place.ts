import { dirname, join } from 'node:path';
import type { FileSystem } from '../platform/file-system.ts';
import { buildRoot } from './home.ts';
import type { Home } from './home.ts';
import { lockBuild } from './lock.ts';
import { lstatOrNone } from './move-entries.ts';

/** A directory in which a new store is built, while the present one is in use. */
export interface BuildPlace {
  /** An empty directory, on the store's file system. */
  readonly dir: string;
  /** Removes what is left of it, and lets others build. Does not reject: what it cannot remove, `sweepBuild` will. */
  close(): Promise<void>;
}

/** Where the store of one build is. */
export const builtStore = (home: Home, id: string): string => join(buildRoot(home), id, 'store');

/**
 * Makes the directory of a new build, which `id` names. The lock of builds is held until `close`, and ends with this process. BUSY
 * while another build is under way.
 */
export async function openBuildPlace(fs: FileSystem, home: Home, id: string): Promise<BuildPlace> {
  // `sweepBuild` of another process may hold the lock for a moment.
  const lock = await lockBuild(fs, home, 500);
  const close = async (): Promise<void> => {
    await fs.remove(buildRoot(home)).catch(() => undefined);
    lock.release();
  };
  try {
    const dir = builtStore(home, id);
    await fs.remove(buildRoot(home));
    await fs.makeDirectory(dirname(dir));
    await fs.makeDirectory(dir);
    return { dir, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Removes the build of a process that was killed. Does not reject: the next run tries again. */
export async function sweepBuild(fs: FileSystem, home: Home): Promise<void> {
  if ((await lstatOrNone(buildRoot(home))) === undefined) return;
  const lock = await lockBuild(fs, home, 0).catch(() => undefined);
  // Its command may have outlived it, and still write there.
  if (lock !== undefined) await fs.remove(buildRoot(home)).catch(() => undefined);
  lock?.release();
}
