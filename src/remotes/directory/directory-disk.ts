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
  /** Directories that were seen a moment ago: no links, nor below one. */
  readonly seen: SeenDirectories;
}

/** A store has a thousand files in a directory: to look at each of its parents again for each costs more than to write the files. */
const seenMs = 1000;
const mostSeen = 1000;

export class SeenDirectories {
  readonly #untilMs = new Map<string, number>();
  readonly #now: () => number;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  has(path: string): boolean {
    return (this.#untilMs.get(path) ?? 0) > this.#now();
  }

  add(path: string): void {
    if (this.#untilMs.size >= mostSeen) this.#untilMs.clear();
    this.#untilMs.set(path, this.#now() + seenMs);
  }

  /** Something is not as it was. */
  forget(): void {
    this.#untilMs.clear();
  }
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
    seen: new SeenDirectories(),
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
