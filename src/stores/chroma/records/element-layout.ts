import { isSyncAgentError } from '../../../platform/errors.ts';
import { readHnswHeader } from '../index/hnsw-header.ts';

/** Where things are in `data_level0.bin`. */
export interface ElementLayout {
  /** Elements that the header promises. Infinity if there is no header to believe: as many as the file has. */
  readonly count: number;
  readonly sizePerElement: number;
  readonly offsetData: number;
  readonly labelOffset: number;
  readonly maxLinks: number;
  readonly dimension: number;
}

/** What a header says. STORE_CORRUPT if it contradicts itself. */
export function readLayout(path: string, label: string): ElementLayout {
  const { maxM0: maxLinks, ...header } = readHnswHeader(path, label);
  return { ...header, maxLinks };
}

/** The same without a header, from the settings of the collection: hnswlib lays elements out in one way. */
export function assumeLayout(dimension: number, maxNeighbors: number): ElementLayout {
  const maxLinks = 2 * maxNeighbors;
  const offsetData = 4 * maxLinks + 4;
  const labelOffset = offsetData + 4 * dimension;
  return { count: Infinity, sizePerElement: labelOffset + 8, offsetData, labelOffset, maxLinks, dimension };
}

/** The header's layout if that is sound and fits the collection, else an assumed one; undefined if nothing is known. */
export function salvageLayout(
  path: string,
  label: string,
  known: { readonly dimension: number | null; readonly maxNeighbors: number },
): { readonly layout: ElementLayout | undefined; readonly problem: string | undefined } {
  const assumed = known.dimension === null ? undefined : assumeLayout(known.dimension, known.maxNeighbors);
  try {
    const layout = readLayout(path, label);
    if (known.dimension === null || known.dimension === layout.dimension)
      return { layout, problem: undefined };
    const problem = `${label} has ${layout.dimension} dimensions instead of ${known.dimension}`;
    return { layout: assumed, problem };
  } catch (error) {
    if (!isSyncAgentError(error, 'STORE_CORRUPT')) throw error;
    return { layout: assumed, problem: error.message };
  }
}
