import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { SyncAgentError, errnoOf, messageOf } from '../../../platform/errors.ts';

/** A file that is not what its format promises. The message is a problem sentence: it names the file. */
export function damaged(message: string, cause?: unknown): SyncAgentError {
  return new SyncAgentError('STORE_CORRUPT', message, cause === undefined ? {} : { cause });
}

const windowBytes = 256 * 1024;

/**
 * Reads a file once from front to back through one window, little endian. Every read past the end throws
 * STORE_CORRUPT. Memory is the window, or the longest single item asked for, which the file's size bounds.
 */
export class ByteReader {
  /** Bytes before this one were consumed. */
  position = 0;
  readonly size: number;
  /** The file's name in problem sentences. */
  readonly label: string;
  /** The window; after `take(n)` the item starts at `at`. Valid until the next call. */
  bytes: Buffer;
  at = 0;
  readonly #fd: number;
  #start = 0;
  #length = 0;

  constructor(path: string, label: string, window = windowBytes) {
    this.label = label;
    this.bytes = Buffer.allocUnsafeSlow(window);
    try {
      this.#fd = openSync(path, 'r');
    } catch (error) {
      const why = errnoOf(error) === 'ENOENT' ? 'is missing' : `cannot be opened: ${messageOf(error)}`;
      throw damaged(`${label} ${why}`, error);
    }
    const stats = fstatSync(this.#fd);
    if (!stats.isFile()) {
      closeSync(this.#fd);
      throw damaged(`${label} is not a regular file`);
    }
    this.size = stats.size;
  }

  get remaining(): number {
    return this.size - this.position;
  }

  /** Makes the next `count` bytes readable at `bytes[at]` and consumes them. */
  take(count: number): number {
    if (count > this.remaining) {
      throw damaged(`${this.label} ends at byte ${this.size}, ${count - this.remaining} bytes too early`);
    }
    if (this.position < this.#start || this.position + count > this.#start + this.#length) this.#fill(count);
    this.at = this.position - this.#start;
    this.position += count;
    return this.at;
  }

  skip(count: number): void {
    if (count > this.remaining) this.take(count);
    this.position += count;
  }

  /** Goes on from another place; cheap within the window. */
  seek(position: number): void {
    this.position = position;
  }

  u8(): number {
    return this.bytes[this.take(1)] as number;
  }

  u16(): number {
    return this.bytes.readUInt16LE(this.take(2));
  }

  u32(): number {
    return this.bytes.readUInt32LE(this.take(4));
  }

  i32(): number {
    return this.bytes.readInt32LE(this.take(4));
  }

  /** Infinity when the value is no safe integer, so that every comparison with a size refuses it. */
  u64(): number {
    const at = this.take(8);
    const value = this.bytes.readUInt32LE(at) + this.bytes.readUInt32LE(at + 4) * 2 ** 32;
    return Number.isSafeInteger(value) ? value : Infinity;
  }

  f64(): number {
    return this.bytes.readDoubleLE(this.take(8));
  }

  close(): void {
    closeSync(this.#fd);
  }

  #fill(count: number): void {
    if (count > this.bytes.length) this.bytes = Buffer.allocUnsafeSlow(count);
    this.#start = this.position;
    this.#length = 0;
    while (this.#length < this.bytes.length) {
      const read = readSync(
        this.#fd,
        this.bytes,
        this.#length,
        this.bytes.length - this.#length,
        this.#start + this.#length,
      );
      if (read === 0) break;
      this.#length += read;
    }
    if (this.#length < count) throw damaged(`${this.label} became shorter while it was read`);
  }
}
