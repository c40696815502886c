import { ByteReader, damaged } from './byte-reader.ts';

/** `header.bin`, in the names of hnswlib's HEADER_FIELDS. */
export interface HnswHeader {
  readonly count: number;
  readonly sizePerElement: number;
  readonly labelOffset: number;
  readonly offsetData: number;
  readonly maxLevel: number;
  readonly entryPoint: number;
  readonly maxM: number;
  readonly maxM0: number;
  readonly dimension: number;
}

const headerBytes = 100;
/** The only one hnswlib knows: PERSISTENCE_VERSION. */
const version = 1;
/** Link counts are 16 bits wide. */
const maxLinks = 65535;
const maxElementBytes = 64 * 2 ** 20;

/**
 * Reads `header.bin` and refuses what hnswlib could not have written (chroma-core/hnswlib, hnswalg.h: the
 * constructor and persistHeader). hnswlib checks only the version and believes the rest: a wrong one crashes the
 * server.
 */
export function readHnswHeader(path: string, label: string): HnswHeader {
  const reader = new ByteReader(path, label);
  try {
    if (reader.size !== headerBytes)
      throw damaged(`${label} has ${reader.size} bytes instead of ${headerBytes}`);
    const found = reader.i32();
    if (found !== version) throw damaged(`${label} has version ${found} instead of ${version}`);
    const offsetLevel0 = reader.u64();
    const maxElements = reader.u64();
    const count = reader.u64();
    const sizePerElement = reader.u64();
    const labelOffset = reader.u64();
    const offsetData = reader.u64();
    const maxLevel = reader.i32();
    const entryPoint = reader.u32();
    const maxM = reader.u64();
    const maxM0 = reader.u64();
    const m = reader.u64();
    const mult = reader.f64();
    const isSane =
      offsetLevel0 === 0 &&
      count <= maxElements &&
      count < 2 ** 32 &&
      maxM >= 1 &&
      maxM === m &&
      maxM0 === 2 * maxM &&
      maxM0 <= maxLinks &&
      offsetData === 4 * maxM0 + 4 &&
      labelOffset > offsetData &&
      (labelOffset - offsetData) % 4 === 0 &&
      sizePerElement === labelOffset + 8 &&
      sizePerElement <= maxElementBytes &&
      !Number.isNaN(mult) &&
      (count === 0 ? maxLevel === -1 : entryPoint < count && maxLevel >= 0 && maxLevel < 256);
    if (!isSane) throw damaged(`${label} contradicts itself`);
    const dimension = (labelOffset - offsetData) / 4;
    return { count, sizePerElement, labelOffset, offsetData, maxLevel, entryPoint, maxM, maxM0, dimension };
  } finally {
    reader.close();
  }
}
