import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { messageOf } from '../../../platform/errors.ts';
import { damaged } from '../index/byte-reader.ts';

/** A file of which pieces are read in any order. */
export class RandomAccess {
  readonly size: number;
  readonly #fd: number;

  /** STORE_CORRUPT if it cannot be opened, or is no file. */
  constructor(path: string, label: string) {
    try {
      this.#fd = openSync(path, 'r');
    } catch (error) {
      throw damaged(`${label} cannot be opened: ${messageOf(error)}`, error);
    }
    const stats = fstatSync(this.#fd);
    if (!stats.isFile()) {
      closeSync(this.#fd);
      throw damaged(`${label} is not a regular file`);
    }
    this.size = stats.size;
  }

  /** Whether all of `bytes` could be filled from `position`. */
  read(bytes: Buffer, position: number): boolean {
    let length = 0;
    while (length < bytes.length) {
      const read = readSync(this.#fd, bytes, length, bytes.length - length, position + length);
      if (read === 0) return false;
      length += read;
    }
    return true;
  }

  close(): void {
    closeSync(this.#fd);
  }
}
