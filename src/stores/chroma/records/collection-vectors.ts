import type Database from 'better-sqlite3';
import { damaged } from '../index/byte-reader.ts';
import { hasIndexMetadata } from '../index/persisted-index.ts';
import { seqIdOf } from '../sysdb.ts';
import { noIndex, openIndexVectors, salvageIndexVectors } from './index-vectors.ts';
import type { FoundVector, IndexVectors } from './index-vectors.ts';
import { operationCode, readQueue } from './pending-operations.ts';
import { indexFacts, provenLabels } from './salvage/proven-labels.ts';
import type { CollectionQueue, QueuedOperation } from './pending-operations.ts';
import type { StoredCollection } from './stored-collection.ts';

/** Every vector of a collection, from its index and, where it is newer, from the queue. */
export interface CollectionVectors {
  /** The ids that have a vector, as far as the files and the queue say. */
  ids(): Iterable<string>;
  has(id: string): boolean;
  /** Of an id that has none: null, without a problem. */
  vectorOf(id: string): FoundVector;
  /** What is wrong with the files, one sentence each. Empty unless they were salvaged. */
  readonly problems: readonly string[];
  /** Vectors that were changed are perhaps old ones. */
  readonly mayBeOld: boolean;
  close(): void;
}

export interface VectorOptions {
  /** Reads what damaged files still yield, instead of rejecting with STORE_CORRUPT. */
  readonly isSalvage: boolean;
  /** To salvage: the database has every row, so the order of records can tell the labels that a pickle lost. */
  readonly isDatabaseWhole?: boolean;
}

/** The only kind of vector segment that has files (rust/types/src/segment.rs, SegmentType). */
const persistedType = 'urn:chroma:segment/vector/hnsw-local-persisted';

/**
 * Opens the vectors of one collection of the store in `dir`, whose database is `db`. Ids are in memory with a number each: the label of
 * what the index holds, and of what is newer the operation in the queue. Vectors are read when they are asked for.
 */
export function vectorsOf(
  db: Database.Database,
  dir: string,
  collection: StoredCollection,
  options: VectorOptions,
): CollectionVectors {
  const index = openIndex(db, dir, collection, options);
  const queue = readQueue(db, collection.id);
  const appliedUpTo = Math.max(0, collection.vectorSegment?.maxSeqId ?? index.maxSeqId ?? 0);
  const places = new Map<string, number>(index.labels);
  for (const operation of queue.after(appliedUpTo)) replay(places, operation);
  const spare = options.isSalvage ? findSpareVectors(db, collection, queue) : undefined;
  return {
    ids: () => places.keys(),
    has: (id) => places.has(id),
    vectorOf: (id) => {
      const place = places.get(id);
      if (place === undefined) return { vector: null };
      const found = place >= 0 ? index.vectorOf(place) : fromQueue(queue, -place);
      return found.problem === undefined ? found : (spare?.(id) ?? found);
    },
    problems: index.problems,
    mayBeOld: index.mayBeOld,
    close: () => index.close(),
  };
}

function openIndex(
  db: Database.Database,
  dir: string,
  collection: StoredCollection,
  { isSalvage, isDatabaseWhole = false }: VectorOptions,
): IndexVectors {
  const { vectorSegment: segment } = collection;
  if (segment?.type !== persistedType) return noIndex;
  const facts = indexFacts(dir, collection, isSalvage ? db : undefined);
  const isThere = hasIndexMetadata(facts);
  const wasPersisted = (segment.maxSeqId ?? 0) > 0;
  if (isSalvage) {
    if (!isThere && !wasPersisted) return noIndex;
    const index = salvageIndexVectors(facts);
    const proven =
      index.isNamed || !isDatabaseWhole ? undefined : provenLabels(db, dir, collection, index.labels);
    if (proven === undefined) return index;
    index.close();
    return salvageIndexVectors(facts, proven);
  }
  if (isThere) return openIndexVectors(facts);
  if (!wasPersisted) return noIndex;
  throw damaged(
    `${segment.id}/index_metadata.pickle is missing, but the index was written up to operation ${segment.maxSeqId}`,
  );
}

/** Places are labels, or operations of the queue as negative numbers. As both of Chroma's indexes apply operations. */
function replay(places: Map<string, number>, { operation, id, seqId, hasVector }: QueuedOperation): void {
  const isKnown = places.has(id);
  if (operation === operationCode.delete) places.delete(id);
  else if (!hasVector) return;
  else if (operation === operationCode.upsert || (operation === operationCode.add) !== isKnown)
    places.set(id, -seqId);
}

function fromQueue(queue: CollectionQueue, seqId: number): FoundVector {
  const vector = queue.vectorOf(seqId);
  return vector === null ? { vector, problem: `the queue has no vector in operation ${seqId}` } : { vector };
}

/**
 * Vectors that the index should have, and the queue still holds: it is purged seldom by old versions, and never by those before 0.5.6.
 * An add counts only if the record was written by it or later: one of an id that existed was ignored.
 */
function findSpareVectors(
  db: Database.Database,
  { metadataSegment }: StoredCollection,
  queue: CollectionQueue,
): (id: string) => FoundVector | undefined {
  let spares: Map<string, { readonly seqId: number; readonly isAdd: boolean }> | undefined;
  const written = db
    .prepare('SELECT seq_id FROM embeddings WHERE segment_id = ? AND embedding_id = ?')
    .pluck();
  const collect = (): NonNullable<typeof spares> => {
    const found: NonNullable<typeof spares> = new Map();
    for (const { operation, id, seqId, hasVector } of queue.after(0)) {
      const isAdd = operation === operationCode.add;
      if (operation === operationCode.delete) found.delete(id);
      else if (hasVector && !(isAdd && found.has(id))) found.set(id, { seqId, isAdd });
    }
    return found;
  };
  return (id) => {
    spares ??= collect();
    const spare = spares.get(id);
    if (spare === undefined) return undefined;
    const vector = queue.vectorOf(spare.seqId);
    if (vector === null) return undefined;
    if (spare.isAdd && (seqIdOf(written.get(metadataSegment?.id ?? '', id)) ?? 0) < spare.seqId)
      return undefined;
    return { vector };
  };
}
