import { ByteReader, damaged } from './byte-reader.ts';
import type { HnswHeader } from './hnsw-header.ts';
import { LabelSet } from './label-set.ts';

/** `bytes[start, start + 4 * dimension)` is the stored vector of `label`, the element numbered `element`. */
export type VectorVisitor = (bytes: Buffer, start: number, label: number, element: number) => void;

/**
 * Walks `data_level0.bin`: links point at elements that exist, no label comes twice, and the elements that are not
 * marked deleted are exactly `live`. The file may be longer than the elements: it grows in steps. Element i is a
 * u16 link count, a byte of flags (bit 0: deleted), u32 links at 4, the f32 vector and a u64 label at the header's
 * offsets (hnswalg.h: get_linklist0, isMarkedDeleted, getExternalLabel).
 */
export function checkElements(
  path: string,
  label: string,
  header: HnswHeader,
  options: { readonly live: LabelSet; readonly visitVector?: VectorVisitor | undefined },
): void {
  const { live, visitVector } = options;
  const reader = new ByteReader(path, label);
  try {
    requireBytes(reader.size, header.count * header.sizePerElement, label);
    const seen = new LabelSet();
    let alive = 0;
    let links = 0;
    for (let element = 0; element < header.count; element++) {
      const at = reader.take(header.sizePerElement);
      const bytes = reader.bytes;
      links += checkLinks(bytes, at, header.maxM0, header.count, () => `${label}: element ${element}`);
      const elementLabel = bytes.readUInt32LE(at + header.labelOffset) + bytes.readUInt32LE(at + header.labelOffset + 4) * 2 ** 32; // prettier-ignore
      if (!seen.add(elementLabel)) throw damaged(`${label} has label ${elementLabel} twice`);
      const isDeleted = ((bytes[at + 2] as number) & 1) === 1;
      if (isDeleted) continue;
      alive += 1;
      if (!live.has(elementLabel)) throw damaged(`${label} has label ${elementLabel}, which no id names`);
      visitVector?.(bytes, at + header.offsetData, elementLabel, element);
    }
    if (alive < live.count)
      throw damaged(`${label} lacks ${live.count - alive} of the ${live.count} labels that ids name`);
    if (header.count > 1 && links === 0) throw damaged(`${label} has no links at all`);
  } finally {
    reader.close();
  }
}

/** One list of links: its length, checked against what an index can hold. Shared with the upper levels. */
export function checkLinks(
  bytes: Buffer,
  at: number,
  maxLength: number,
  count: number,
  where: () => string,
  visit?: (target: number) => void,
): number {
  const length = (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
  if (length > maxLength) throw damaged(`${where()} has ${length} links, more than ${maxLength}`);
  for (let i = at + 4; i < at + 4 + 4 * length; i += 4) {
    const target = ((bytes[i] as number) | ((bytes[i + 1] as number) << 8) | ((bytes[i + 2] as number) << 16) | ((bytes[i + 3] as number) << 24)) >>> 0; // prettier-ignore
    if (target >= count) throw damaged(`${where()} links to element ${target} of ${count}`);
    visit?.(target);
  }
  return length;
}

/** Files may be longer than their elements: they grow in steps. */
export function requireBytes(size: number, needed: number, label: string): void {
  if (size < needed) throw damaged(`${label} has ${size} bytes, but its header promises at least ${needed}`);
}
