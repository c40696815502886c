import { join } from 'node:path';
import type Database from 'better-sqlite3';
import { salvageIndexIds } from '../records/index-ids.ts';
import { salvageIndexVectors } from '../records/index-vectors.ts';
import type { FoundVector } from '../records/index-vectors.ts';
import { agreesWithQueue, indexFacts, provenLabels } from '../records/salvage/proven-labels.ts';
import type { StoredCollection } from '../records/stored-collection.ts';

/** What is left of the files of a vector index. */
export interface LeftIndex {
  /** That its pickle names. */
  readonly ids: ReadonlySet<string>;
  /** Whether the pickle could be read to its end. */
  readonly isNamed: boolean;
  /** The elements look like those of another time. */
  readonly mayBeOld: boolean;
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
  const facts = indexFacts(dir, collection, db);
  const name = 'index_metadata.pickle';
  const pickled = salvageIndexIds(join(dir, facts.segmentId, name), `${facts.segmentId}/${name}`);
  const isNamed = pickled.problem === undefined;
  const proven = isNamed ? undefined : provenLabels(db, dir, collection, pickled.labels);
  const labels = proven ?? pickled.labels;
  const index = salvageIndexVectors(facts, labels);
  const vectorOf = (id: string): FoundVector => {
    const label = labels.get(id);
    return label === undefined ? { vector: null } : index.vectorOf(label);
  };
  return {
    ids: new Set(pickled.labels.keys()),
    isNamed,
    mayBeOld: index.mayBeOld,
    maxSeqId: pickled.maxSeqId,
    has: (id) => labels.has(id),
    vectorOf,
    contradicts: (upTo) => agreesWithQueue(db, collection, upTo, vectorOf) === false,
    close: () => index.close(),
  };
}
