import { statSync } from 'node:fs';
import type { BigIntStats } from 'node:fs';

/** A file that others replace. */
export class ChangedFile {
  readonly #path: string;
  #seen: string | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /**
   * Whether it was replaced since the last call. It never was, if it is not there. Asked many times a second: a call through the thread
   * pool costs ten times as much.
   */
  hasChanged(): boolean {
    const stats = statsOf(this.#path);
    if (stats === undefined) return false;
    const seen = `${stats.ino} ${stats.mtimeNs} ${stats.ctimeNs} ${stats.size}`;
    if (seen === this.#seen) return false;
    this.#seen = seen;
    return true;
  }
}

function statsOf(path: string): BigIntStats | undefined {
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}
