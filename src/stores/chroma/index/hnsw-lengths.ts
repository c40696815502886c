import { statSync } from 'node:fs';
import { errnoOf } from '../../../platform/errors.ts';
import { ByteReader, damaged } from './byte-reader.ts';
import { requireBytes } from './hnsw-elements.ts';
import type { HnswHeader } from './hnsw-header.ts';

/** `length.bin`: an f32 per element, grown in steps like the elements. */
export function checkLengths(path: string, label: string, header: HnswHeader): void {
  let size: number;
  try {
    size = statSync(path).size;
  } catch (error) {
    throw damaged(`${label} ${errnoOf(error) === 'ENOENT' ? 'is missing' : 'cannot be read'}`, error);
  }
  requireBytes(size, header.count * 4, label);
}

/** The lengths of a cosine index. A server multiplies them with the directions in `data_level0.bin`: a wrong one is a wrong vector. */
export interface Lengths {
  /**
   * Elements ascend. `bytes[start, …)` is the direction of the element, `written` the vector that was last written to it, if that is known.
   * STORE_CORRUPT for a direction without a length, or with that of another vector.
   */
  check(element: number, bytes: Buffer, start: number, written: Float32Array | undefined): void;
  close(): void;
}

/** Lengths are sums of squares in float32. */
const tolerance = 1e-3;

export function openLengths(path: string, label: string, { dimension }: HnswHeader): Lengths {
  const reader = new ByteReader(path, label);
  let next = 0;
  return {
    check: (element, bytes, start, written) => {
      reader.skip((element - next) * 4);
      const at = reader.take(4);
      next = element + 1;
      const length = reader.bytes.readFloatLE(at);
      // Only a vector of nothing but zeros has no length, and it has no direction either.
      if (!(length > 0) && isDirection(bytes, start, dimension))
        throw damaged(`${label} has the length ${length} for element ${element}, which has a direction`);
      if (written === undefined) return;
      const expected = Math.hypot(...written);
      if (Math.abs(length - expected) > tolerance * expected)
        throw damaged(
          `${label} has another length for element ${element} than that of the vector last written to it: it is of another time than chroma.sqlite3`,
        );
    },
    close: () => reader.close(),
  };
}

/** Whether a stored vector is of length 1. */
function isDirection(bytes: Buffer, start: number, dimension: number): boolean {
  let sum = 0;
  for (let at = start; at < start + 4 * dimension; at += 4) sum += bytes.readFloatLE(at) ** 2;
  return Math.abs(sum - 1) <= tolerance;
}
