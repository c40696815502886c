import { readSync } from 'node:fs';

/** Two of them fit the second-level cache; measured twice as fast as 1 MiB. */
export const chunkBytes = 256 * 1024;

/** Two open files of one process. All of its threads may read them. */
export interface Comparison {
  readonly from: number;
  readonly to: number;
  /** How far they are compared. */
  readonly size: number;
}

/** A comparison that several threads carry out, in shared memory. */
export interface SharedComparison extends Comparison {
  /** One number: the chunk that nobody has taken yet. */
  readonly next: Int32Array<SharedArrayBuffer>;
  /** One byte for each chunk: 1 if the files differ there. */
  readonly stale: Uint8Array<SharedArrayBuffer>;
}

export function shareComparison(comparison: Comparison): SharedComparison {
  return {
    ...comparison,
    next: new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)),
    stale: new Uint8Array(new SharedArrayBuffer(Math.ceil(comparison.size / chunkBytes))),
  };
}

/** Compares chunks until no thread has one left to take. Blocks. */
export function compareChunks({ from, to, size, next, stale }: SharedComparison): void {
  const fresh = Buffer.allocUnsafe(chunkBytes);
  const old = Buffer.allocUnsafe(chunkBytes);
  for (let chunk = Atomics.add(next, 0, 1); chunk < stale.length; chunk = Atomics.add(next, 0, 1)) {
    const start = chunk * chunkBytes;
    const read = readChunk(from, fresh, start, size);
    const had = readChunk(to, old, start, size);
    if (read !== had || fresh.compare(old, 0, had, 0, read) !== 0) stale[chunk] = 1;
  }
}

/** Reads the chunk that begins at `start`, up to `size` or the file's end. */
export function readChunk(descriptor: number, buffer: Buffer, start: number, size: number): number {
  const wanted = Math.min(chunkBytes, size - start);
  let done = 0;
  while (done < wanted) {
    const read = readSync(descriptor, buffer, done, wanted - done, start + done);
    if (read === 0) break;
    done += read;
  }
  return done;
}
