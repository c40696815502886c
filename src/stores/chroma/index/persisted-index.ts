import { statSync } from 'node:fs';
import { join } from 'node:path';
import { damaged } from './byte-reader.ts';
import { checkElements } from './hnsw-elements.ts';
import { readHnswHeader } from './hnsw-header.ts';
import { checkLengths, openLengths } from './hnsw-lengths.ts';
import { checkLevels } from './hnsw-levels.ts';
import { readIndexMetadata } from './index-metadata.ts';
import type { IdVisitor, IndexMetadata } from './index-metadata.ts';
import { matchesKnownVector } from '../known-vector.ts';
import type { KnownVector } from '../known-vector.ts';

/** The folder of a vector segment inside a store. */
export interface IndexFolder {
  readonly dir: string;
  readonly segmentId: string;
}

const pickleName = 'index_metadata.pickle';

/** Whether the segment was ever persisted and its metadata is still there; without it Chroma starts a new index. */
export function hasIndexMetadata({ dir, segmentId }: IndexFolder): boolean {
  return statSync(join(dir, segmentId, pickleName), { throwIfNoEntry: false }) !== undefined;
}

/** Reads only the pickle. Directories before 0.5.6 say there, and nowhere else, what the index holds. */
export function readPersistedIds(folder: IndexFolder, visitId: IdVisitor): IndexMetadata {
  return readIndexMetadata(...placeOf(folder, pickleName), visitId);
}

/**
 * Checks the five files of a persisted index against each other and reports every id in it. Throws STORE_CORRUPT
 * at the first damage. An index without ids is not looked at further: Chroma starts a new one over it
 * (rust/segment/src/local_hnsw.rs, from_segment).
 */
export function checkPersistedIndex(
  folder: IndexFolder,
  options: {
    readonly dimension: number | null;
    readonly known: KnownVector | undefined;
    /** Cosine: the index holds directions, and `length.bin` the lengths. */
    readonly hasLengths: boolean;
    readonly visitId: IdVisitor;
  },
): IndexMetadata {
  const { dimension, known, hasLengths, visitId } = options;
  let knownLabel: number | undefined;
  const metadata = readPersistedIds(folder, (bytes, start, end, label) => {
    if (known?.id.equals(bytes.subarray(start, end)) === true) knownLabel = label;
    visitId(bytes, start, end, label);
  });
  if (metadata.labels.count === 0) return metadata;
  const header = readHnswHeader(...placeOf(folder, 'header.bin'));
  const dimensions = [dimension, metadata.dimensionality].filter((each) => each !== null);
  if (dimensions.some((each) => each !== header.dimension)) {
    throw damaged(
      `${folder.segmentId}/header.bin has ${header.dimension} dimensions instead of ${dimensions.join(' and ')}`,
    );
  }
  checkLengths(...placeOf(folder, 'length.bin'), header);
  const lengths = hasLengths ? openLengths(...placeOf(folder, 'length.bin'), header) : undefined;
  const visitVector = (bytes: Buffer, start: number, label: number, element: number): void => {
    const isKnown = known !== undefined && label === knownLabel;
    if (isKnown && !matchesKnownVector(known.vector, bytes, start, header)) {
      throw damaged(
        `${folder.segmentId}/data_level0.bin holds another vector of "${known.id.toString()}" than the last one written to it: the index is of another time than chroma.sqlite3`,
      );
    }
    lengths?.check(element, bytes, start, isKnown ? known.vector : undefined);
  };
  try {
    checkElements(...placeOf(folder, 'data_level0.bin'), header, { live: metadata.labels, visitVector });
  } finally {
    lengths?.close();
  }
  checkLevels(...placeOf(folder, 'link_lists.bin'), header);
  return metadata;
}

function placeOf({ dir, segmentId }: IndexFolder, name: string): [path: string, label: string] {
  return [join(dir, segmentId, name), `${segmentId}/${name}`];
}
