import { dirname } from 'node:path';
import type { FileSystem } from '../../platform/file-system.ts';

/** The disk of a directory remote. What many calls do to one directory at the same time is done once. */
export interface DirectoryDisk extends FileSystem {
  /** Makes a directory, durably. */
  addDirectory(path: string): Promise<void>;
  /** Resolves once no other call is adding the directory. Until then it is there, but may not be durable. */
  added(path: string): Promise<void> | undefined;
  /** Makes the entries of a directory durable. */
  syncDirectory(path: string): Promise<void>;
}

export function createDirectoryDisk(fs: FileSystem): DirectoryDisk {
  const syncDirectory = createSharedSync(fs);
  const adding = new Map<string, Promise<void>>();
  const add = async (path: string): Promise<void> => {
    try {
      await fs.makeDirectory(path);
      await syncDirectory(dirname(path));
    } finally {
      adding.delete(path);
    }
  };
  return {
    ...fs,
    addDirectory: (path) => {
      const added = adding.get(path) ?? add(path);
      adding.set(path, added);
      return added;
    },
    added: (path) => adding.get(path),
    syncDirectory,
  };
}

/**
 * Syncs directories, which takes the disk as long for one new entry as for many. Calls for a directory share the next sync
 * of it that begins. One that is under way may have missed what they wrote.
 */
export function createSharedSync({ sync }: Pick<FileSystem, 'sync'>): (directory: string) => Promise<void> {
  const next = new Map<string, Promise<void>>();
  const running = new Map<string, Promise<void>>();

  const begin = (directory: string): Promise<void> => {
    next.delete(directory);
    const run = sync(directory).finally(() => {
      if (running.get(directory) === run) running.delete(directory);
    });
    running.set(directory, run);
    return run;
  };
  const after = async (before: Promise<void> | undefined): Promise<void> => {
    // Its failure is told to those who asked for it.
    await before?.catch(() => undefined);
    await new Promise((resolve) => void setImmediate(resolve));
  };
  return (directory) => {
    const waiting = next.get(directory) ?? after(running.get(directory)).then(() => begin(directory));
    next.set(directory, waiting);
    return waiting;
  };
}
