import { stat } from 'node:fs/promises';

/** A file that others replace. */
export class ChangedFile {
  readonly #path: string;
  #seen: string | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** Whether it was replaced since the last call. It never was, if it is not there. */
  async hasChanged(): Promise<boolean> {
    const stats = await stat(this.#path, { bigint: true }).catch(() => undefined);
    if (stats === undefined) return false;
    const seen = `${stats.ino} ${stats.mtimeNs} ${stats.ctimeNs} ${stats.size}`;
    if (seen === this.#seen) return false;
    this.#seen = seen;
    return true;
  }
}
