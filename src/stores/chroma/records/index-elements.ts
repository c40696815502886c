import { ByteReader } from '../index/byte-reader.ts';
import { isSyncAgentError } from '../../../platform/errors.ts';
import type { ElementLayout } from './element-layout.ts';

/** Where each live label is in `data_level0.bin`. */
export interface IndexElements {
  /** Label to element. */
  readonly positions: ReadonlyMap<number, number>;
  /** Elements that links may lead to: those that the header promises, also where the file ends before them. */
  readonly count: number;
  /** The file ends before the elements that its header promises. */
  readonly problem: string | undefined;
  /** It ends there behind a whole element, as one of another time does. */
  readonly mayBeOld: boolean;
}

/**
 * Reads the file once. Elements that are marked deleted are left out; the first element of a label counts. What follows the promised
 * elements is room for more.
 */
export function findElements(path: string, label: string, layout: ElementLayout): IndexElements {
  const positions = new Map<number, number>();
  const { sizePerElement, labelOffset } = layout;
  let reader: ByteReader;
  try {
    reader = new ByteReader(path, label);
  } catch (error) {
    if (!isSyncAgentError(error, 'STORE_CORRUPT')) throw error;
    return { positions, count: 0, problem: error.message, mayBeOld: false };
  }
  try {
    const there = Math.floor(reader.size / sizePerElement);
    const count = Math.min(layout.count, there);
    for (let element = 0; element < count; element++) {
      const at = reader.take(sizePerElement);
      const { bytes } = reader;
      if (((bytes[at + 2] as number) & 1) === 1) continue;
      const low = bytes.readUInt32LE(at + labelOffset);
      const number = low + bytes.readUInt32LE(at + labelOffset + 4) * 2 ** 32;
      if (!positions.has(number)) positions.set(number, element);
    }
    const isShort = Number.isFinite(layout.count) && there < layout.count;
    const problem = isShort ? `${label} ends after ${there} of ${layout.count} elements` : undefined;
    const mayBeOld = isShort && reader.size % sizePerElement === 0;
    return { positions, count: isShort ? layout.count : count, problem, mayBeOld };
  } finally {
    reader.close();
  }
}

/**
 * Why an element of a damaged file is not to be believed. Zeroed and overwritten blocks show in what stands before the vector: a count
 * of links, flags, and links to elements that exist.
 */
export function doubtAbout(bytes: Buffer, layout: ElementLayout, count: number): string | undefined {
  const links = bytes.readUInt16LE(0);
  if (links === 0 && count > 1) return 'it has no links';
  if (links > layout.maxLinks || (bytes[2] as number) > 1) return 'its links are none';
  for (let i = 0; i < links; i++)
    if (bytes.readUInt32LE(4 + 4 * i) >= count) return 'it links to an element that does not exist';
  return undefined;
}
