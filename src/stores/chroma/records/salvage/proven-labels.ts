import { join } from 'node:path';
import type Database from 'better-sqlite3';
import { findKnownVector, matchesKnownVector } from '../../known-vector.ts';
import type { KnownVector } from '../../known-vector.ts';
import { topicOf } from '../../topic.ts';
import { salvageLayout } from '../element-layout.ts';
import { findElements } from '../index-elements.ts';
import { salvageIndexVectors } from '../index-vectors.ts';
import type { FoundVector, IndexFacts } from '../index-vectors.ts';
import { labelsByOrder } from './ordered-labels.ts';
import type { QueuedSince } from './ordered-labels.ts';
import { operationCode, readQueue } from '../pending-operations.ts';
import type { StoredCollection } from '../stored-collection.ts';

/** `db`, given to salvage, tells the last vector that was written. */
export function indexFacts(dir: string, collection: StoredCollection, db?: Database.Database): IndexFacts {
  const { vectorSegment, space, dimension, maxNeighbors } = collection;
  const lastWritten = db && knownVector(db, collection, vectorSegment?.maxSeqId ?? 0);
  return { dir, segmentId: vectorSegment?.id ?? '', space, dimension, maxNeighbors, lastWritten };
}

/**
 * The labels of an index whose pickle is missing or short, by the order of records, if one vector proves that: see `labelsByOrder`.
 * `known` is what is left of the pickle. The database has every record and every operation that it should have.
 */
export function provenLabels(
  db: Database.Database,
  dir: string,
  collection: StoredCollection,
  known: ReadonlyMap<string, number>,
): ReadonlyMap<string, number> | undefined {
  const facts = indexFacts(dir, collection, db);
  const indexedUpTo = collection.vectorSegment?.maxSeqId ?? 0;
  const labels = labelsByOrder(db, {
    metadataSegment: collection.metadataSegment?.id ?? '',
    labels: labelsIn(facts),
    since: queuedSince(db, collection.id, indexedUpTo),
    known,
  });
  if (labels === undefined) return undefined;
  const index = salvageIndexVectors(facts, labels);
  try {
    const vectorOf = (id: string): FoundVector => index.vectorOf(labels.get(id) ?? -1);
    return agreesWithQueue(db, collection, indexedUpTo, vectorOf) === true ? labels : undefined;
  } finally {
    index.close();
  }
}

/** Whether an index has the vector that the queue says was the last one; undefined if nothing can be compared. */
export function agreesWithQueue(
  db: Database.Database,
  collection: StoredCollection,
  indexedUpTo: number,
  vectorOf: (id: string) => FoundVector,
): boolean | undefined {
  const known = knownVector(db, collection, indexedUpTo);
  const found = known && vectorOf(known.id.toString()).vector;
  if (known === undefined || found == null) return undefined;
  const bytes = Buffer.from(found.buffer, found.byteOffset, found.byteLength);
  return matchesKnownVector(known.vector, bytes, 0, { dimension: found.length });
}

function knownVector(
  db: Database.Database,
  { id, metadataSegment }: StoredCollection,
  indexedUpTo: number,
): KnownVector | undefined {
  const segment = metadataSegment?.id ?? '';
  return findKnownVector(db, { topic: topicOf(db, id), indexedUpTo, metadataSegment: segment });
}

function labelsIn(facts: IndexFacts): Iterable<number> {
  const folder = (name: string): [path: string, label: string] => [
    join(facts.dir, facts.segmentId, name),
    `${facts.segmentId}/${name}`,
  ];
  const { layout } = salvageLayout(...folder('header.bin'), facts);
  if (layout === undefined) return [];
  const { positions } = findElements(...folder('data_level0.bin'), layout);
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
