import { concurrently } from '../concurrently.ts';
import type { FileSystem } from '../file-system.ts';

/** From so many on, one call for the whole file system is quicker than one for each. */
export const manyPaths = 256;
/** No more are kept in memory: then all are synced. */
const mostPaths = 4096;
/** Each waits for the disk in a thread of the pool, of which there are four. */
const syncsAtOnce = 4;

/**
 * Files and directories that were written and are not yet durable. A disk takes about as long to sync a thousand small files at
 * once as to sync one: of 20,000 files of 1.5 kB on ext4, each synced took 10.9 s, all at once 0.4 s.
 */
export class Unsynced {
  readonly #fs: Pick<FileSystem, 'sync' | 'syncAll'>;
  readonly #root: string;
  #files = new Set<string>();
  #directories = new Set<string>();
  #syncing = Promise.resolve();
  #failure: { readonly error: unknown } | undefined;

  /** All paths must be on the file system of `root`, which exists. */
  constructor(fs: Pick<FileSystem, 'sync' | 'syncAll'>, root: string) {
    this.#fs = fs;
    this.#root = root;
  }

  /** A file that was written, or a directory that has other entries than before. Waits if there are many. */
  async add({ file, directory }: { readonly file?: string; readonly directory?: string }): Promise<void> {
    if (file !== undefined) this.#files.add(file);
    if (directory !== undefined) this.#directories.add(directory);
    if (this.#files.size + this.#directories.size >= mostPaths) await this.#syncNow();
  }

  /**
   * Resolves once all that was added is durable. Rejects if something of it may not be, and so does every later call: the kernel
   * tells of a failure once.
   */
  async flush(): Promise<void> {
    await this.#syncNow();
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  #syncNow(): Promise<void> {
    const [files, directories] = [[...this.#files], [...this.#directories]];
    this.#files = new Set();
    this.#directories = new Set();
    this.#syncing = this.#syncAfter(this.#syncing, files, directories);
    return this.#syncing;
  }

  async #syncAfter(
    before: Promise<void>,
    files: readonly string[],
    directories: readonly string[],
  ): Promise<void> {
    await before;
    if (this.#failure !== undefined) return;
    try {
      await this.#sync(files, directories);
    } catch (error) {
      this.#failure = { error };
    }
  }

  async #sync(files: readonly string[], directories: readonly string[]): Promise<void> {
    if (files.length + directories.length >= manyPaths && (await this.#fs.syncAll(this.#root))) return;
    for (const paths of [files, directories])
      await concurrently(paths, { concurrency: syncsAtOnce }, (path) => this.#fs.sync(path));
  }
}
