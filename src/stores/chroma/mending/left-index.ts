import { join } from 'node:path';
import type Database from 'better-sqlite3';
import { findKnownVector, matchesKnownVector } from '../known-vector.ts';
import { salvageLayout } from '../records/element-layout.ts';
import { findElements } from '../records/index-elements.ts';
import { salvageIndexIds } from '../records/index-ids.ts';
import { salvageIndexVectors } from '../records/index-vectors.ts';
import type { FoundVector, IndexFacts } from '../records/index-vectors.ts';
import { operationCode, readQueue } from '../records/pending-operations.ts';
import type { StoredCollection } from '../records/stored-collection.ts';
import { topicOf } from './topic.ts';
import { labelsByOrder } from './ordered-labels.ts';
import type { QueuedSince } from './ordered-labels.ts';

/** What is left of the files of a vector index. */
export interface LeftIndex {
  /** That its pickle names. */
  readonly ids: ReadonlySet<string>;
  /** Whether the pickle could be read to its end. */
  readonly isNamed: boolean;
  /** The operation that the files say they hold; null where only SQLite knows. */
  readonly maxSeqId: number | null;
  has(id: string): boolean;
  vectorOf(id: string): FoundVector;
  /** Whether it has another vector than the last one that was written to it, as far as the queue still has that. */
  contradicts(indexedUpTo: number): boolean;
  close(): void;
}

/** Opens what is left. A pickle that is missing or short is made up for by the order of labels, if one vector proves that. */
export function openLeftIndex(db: Database.Database, dir: string, collection: StoredCollection): LeftIndex {
  const { id, vectorSegment, metadataSegment, space, dimension, maxNeighbors } = collection;
  const facts: IndexFacts = { dir, segmentId: vectorSegment?.id ?? '', space, dimension, maxNeighbors };
  const pickled = salvageIndexIds(...placeOf(facts, 'index_metadata.pickle'));
  const isNamed = pickled.problem === undefined;
  const indexedUpTo = vectorSegment?.maxSeqId ?? 0;
  const ordered = isNamed
    ? undefined
    : labelsByOrder(db, {
        metadataSegment: metadataSegment?.id ?? '',
        labels: labelsIn(facts),
        since: queuedSince(db, id, indexedUpTo),
        known: pickled.labels,
      });
  const known = (upTo: number): ReturnType<typeof findKnownVector> =>
    findKnownVector(db, {
      topic: topicOf(db, id),
      indexedUpTo: upTo,
      metadataSegment: metadataSegment?.id ?? '',
    });
  const open = (labels: ReadonlyMap<string, number>): LeftIndex => {
    const index = salvageIndexVectors(facts, labels);
    const vectorOf = (each: string): FoundVector => {
      const label = labels.get(each);
      return label === undefined ? { vector: null } : index.vectorOf(label);
    };
    return {
      ids: new Set(pickled.labels.keys()),
      isNamed,
      maxSeqId: pickled.maxSeqId,
      has: (each) => labels.has(each),
      vectorOf,
      contradicts: (upTo) => agreement(known(upTo), vectorOf) === false,
      close: () => index.close(),
    };
  };
  if (ordered !== undefined) {
    const index = open(ordered);
    const vectorOf = (each: string): FoundVector => index.vectorOf(each);
    if (agreement(known(indexedUpTo), vectorOf) === true) return index;
    index.close();
  }
  return open(pickled.labels);
}

/** Whether an index has the vector that the queue says was the last one; undefined if nothing can be compared. */
function agreement(
  known: ReturnType<typeof findKnownVector>,
  vectorOf: (id: string) => FoundVector,
): boolean | undefined {
  const found = known && vectorOf(known.id.toString()).vector;
  if (known === undefined || found == null) return undefined;
  const bytes = Buffer.from(found.buffer, found.byteOffset, found.byteLength);
  return matchesKnownVector(known.vector, bytes, 0, { dimension: found.length });
}

function labelsIn(facts: IndexFacts): Iterable<number> {
  const { layout } = salvageLayout(...placeOf(facts, 'header.bin'), facts);
  if (layout === undefined) return [];
  const { positions } = findElements(...placeOf(facts, 'data_level0.bin'), layout);
  // Chroma numbers them from 1; 0 is room for more.
  return [...positions.keys()].filter((label) => label > 0);
}

function queuedSince(db: Database.Database, collectionId: string, indexedUpTo: number): QueuedSince {
  const operations = [...readQueue(db, collectionId).after(indexedUpTo)];
  return {
    ids: new Set(operations.map(({ id }) => id)),
    hasDeletions: operations.some(({ operation }) => operation === operationCode.delete),
  };
}

function placeOf({ dir, segmentId }: IndexFacts, name: string): [path: string, label: string] {
  return [join(dir, segmentId, name), `${segmentId}/${name}`];
}
