import { readSync } from 'node:fs';
import { quickBytes } from '../../../platform/quick/descriptor.ts';

/** Two of them fit the second-level cache; measured twice as fast as 1 MiB. */
const chunkBytes = 256 * 1024;
/** What is written if a byte of it differs. SQLite's pages have this size by default. */
export const blockBytes = 4096;
const blocksInChunk = chunkBytes / blockBytes;

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
  /** One byte for each block: 1 if the files differ there. */
  readonly stale: Uint8Array<SharedArrayBuffer>;
}

export function shareComparison(comparison: Comparison): SharedComparison {
  return {
    ...comparison,
    next: new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)),
    stale: new Uint8Array(new SharedArrayBuffer(Math.ceil(comparison.size / blockBytes))),
  };
}

/** Compares chunks until no thread has one left to take. Blocks the event loop. */
export function compareChunks({ from, to, size, next, stale }: SharedComparison): void {
  const fresh = Buffer.allocUnsafe(chunkBytes);
  const old = Buffer.allocUnsafe(chunkBytes);
  const take = (): number => Atomics.add(next, 0, 1) * blocksInChunk;
  for (let block = take(); block < stale.length; block = take()) {
    const range = { start: block * blockBytes, end: Math.min(size, (block + blocksInChunk) * blockBytes) };
    const read = fresh.subarray(0, readRange(from, fresh, range));
    const had = old.subarray(0, readRange(to, old, range));
    if (!read.equals(had)) markStale(stale.subarray(block, block + blocksInChunk), read, had);
  }
}

function markStale(stale: Uint8Array, read: Buffer, had: Buffer): void {
  for (const index of stale.keys()) {
    const [start, end] = [index * blockBytes, (index + 1) * blockBytes];
    if (!read.subarray(start, end).equals(had.subarray(start, end))) stale[index] = 1;
  }
}

/** Bytes of a file. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** To read and write so much that has not changed costs no more than another call. */
const worthwhileGap = 2;
/** Longer ranges are written by calls that have to wait for another thread. */
export const longestRange = quickBytes;

/** Where the files differ, in ascending order. None is longer than `longestRange`. */
export function staleRanges({ stale, size }: SharedComparison): readonly Range[] {
  const runs: { first: number; last: number }[] = [];
  for (let block = stale.indexOf(1); block !== -1; block = stale.indexOf(1, block + 1)) {
    const run = runs.at(-1);
    const isNear = run !== undefined && block - run.last - 1 <= worthwhileGap;
    if (isNear && (block + 1 - run.first) * blockBytes <= longestRange) run.last = block;
    else runs.push({ first: block, last: block });
  }
  return runs.map(({ first, last }) => ({
    start: first * blockBytes,
    end: Math.min(size, (last + 1) * blockBytes),
  }));
}

/** Reads a range, or what there is of it at the file's end. */
export function readRange(descriptor: number, buffer: Buffer, { start, end }: Range): number {
  const wanted = end - start;
  let done = 0;
  while (done < wanted) {
    const read = readSync(descriptor, buffer, done, wanted - done, start + done);
    if (read === 0) break;
    done += read;
  }
  return done;
}
