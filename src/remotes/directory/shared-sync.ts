import type { FileSystem } from '../../platform/file-system.ts';

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
