import { statSync } from 'node:fs';
import { ByteReader, damaged } from './byte-reader.ts';
import { checkLinks } from './hnsw-elements.ts';
import type { HnswHeader } from './hnsw-header.ts';

/**
 * Walks `link_lists.bin`, the upper levels of the graph, to exactly its end: per element a u32 of bytes, then one
 * list of `4 + 4 * maxM` bytes for each level above 0 (hnswalg.h: persistDirty, loadLinkLists). A link on a level
 * must lead to an element that has that level and the entry point must have the topmost one: hnswlib follows both
 * without looking, through a null pointer if they are wrong. Memory: one byte per element.
 */
export function checkLevels(path: string, label: string, header: HnswHeader): void {
  const listBytes = 4 + 4 * header.maxM;
  const levels = new Uint8Array(Math.min(header.count, statSync(path, { throwIfNoEntry: false })?.size ?? 0));
  walk(path, label, header, (reader, element, bytes) => {
    if (bytes % listBytes !== 0) throw damaged(`${label}: element ${element} has a list of ${bytes} bytes`);
    const level = bytes / listBytes;
    if (level > header.maxLevel) throw damaged(`${label}: element ${element} is above the topmost level`);
    levels[element] = level;
    reader.skip(bytes);
  });
  if (header.count > 0 && levels[header.entryPoint] !== header.maxLevel) {
    throw damaged(`${label}: the entry point does not have the topmost level ${header.maxLevel}`);
  }
  walk(path, label, header, (reader, element, bytes) => {
    for (let level = 1; level <= bytes / listBytes; level++) {
      const at = reader.take(listBytes);
      const where = (): string => `${label}: element ${element}`;
      checkLinks(reader.bytes, at, header.maxM, header.count, where, (target) => {
        if ((levels[target] as number) < level) {
          throw damaged(`${where()} links on level ${level} to element ${target}, which is not there`);
        }
      });
    }
  });
}

function walk(
  path: string,
  label: string,
  header: HnswHeader,
  visit: (reader: ByteReader, element: number, bytes: number) => void,
): void {
  const reader = new ByteReader(path, label);
  try {
    if (reader.size < 4 * header.count)
      throw damaged(`${label} ends before the last of ${header.count} elements`);
    for (let element = 0; element < header.count; element++) visit(reader, element, reader.u32());
    if (reader.remaining > 0) throw damaged(`${label} has ${reader.remaining} bytes behind the last element`);
  } finally {
    reader.close();
  }
}
