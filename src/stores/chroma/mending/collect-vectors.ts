import type Database from 'better-sqlite3';
import type { RepairLoss } from '../../mending.ts';
import { operationCode, readQueue } from '../records/pending-operations.ts';
import type { CollectionQueue } from '../records/pending-operations.ts';
import type { StoredCollection } from '../records/stored-collection.ts';
import { seqIdOf } from '../sysdb.ts';
import { openLeftIndex } from './left-index.ts';
import type { FoundVector } from './requeue.ts';

/** Where the vectors of a collection still are. */
export interface VectorSources {
  readonly fromQueue: number;
  readonly fromIndex: number;
  readonly losses: readonly RepairLoss[];
  /** The index has other records than the database: vectors that were changed in between may be old ones. */
  readonly isOfAnotherTime: boolean;
}

/**
 * Goes through all records that the METADATA segment of a collection has, and hands the vector of each to `use`: the last one in the
 * queue, else the one in the files of the index. A queue that was purged lacks only operations that come before all others in
 * it, so what it has of a record is newer than the index. Holds the ids, not the vectors.
 */
export function collectVectors(
  db: Database.Database,
  dir: string,
  collection: StoredCollection,
  use: (found: FoundVector) => void = () => undefined,
): VectorSources {
  const { name, vectorSegment, metadataSegment } = collection;
  const index = openLeftIndex(db, dir, collection);
  try {
    const indexedUpTo = Math.max(0, vectorSegment?.maxSeqId ?? index.maxSeqId ?? 0);
    const recordedUpTo = Math.max(0, metadataSegment?.maxSeqId ?? 0);
    const queue = readQueue(db, collection.id);
    const queued = lastQueued(queue, { indexedUpTo, recordedUpTo, isIndexed: (id) => index.has(id) });
    // Records with operations that the segment has not applied yet. The server will, after it has built the index.
    const pending = new Set([...queue.after(recordedUpTo)].map(({ id }) => id));
    const losses: RepairLoss[] = [];
    let [fromQueue, fromIndex, unindexed] = [0, 0, 0];
    const seen = new Set<string>();
    const rows = db
      .prepare('SELECT embedding_id, seq_id FROM embeddings WHERE segment_id = ? ORDER BY id')
      .raw();
    for (const [id, storedSeqId] of rows.all(metadataSegment?.id ?? '') as [string, unknown][]) {
      seen.add(id);
      const { vectorAt, lastAt } = queued.get(id) ?? {};
      const seqId = seqIdOf(storedSeqId) ?? 0;
      // An operation that is in neither may have changed it.
      const isOld = seqId > indexedUpTo && lastAt !== seqId;
      if (!index.ids.has(id) && vectorAt === undefined && !pending.has(id)) unindexed += 1;
      const inQueue = vectorAt === undefined || isOld ? null : queue.vectorOf(vectorAt);
      const found = inQueue === null && !isOld ? index.vectorOf(id) : { vector: inQueue };
      if (found.vector === null) {
        losses.push({ collection: name, id, missing: 'vector' });
        continue;
      }
      if (inQueue === null) fromIndex += 1;
      else fromQueue += 1;
      if (found.isWithoutLength === true) losses.push({ collection: name, id, missing: 'length' });
      use({ id, vector: bytesOf(found.vector) });
    }
    const isGhost = (id: string): boolean =>
      !seen.has(id) && !pending.has(id) && queued.get(id)?.isThere !== false;
    const hasOtherRecords = unindexed > 0 || [...index.ids].some(isGhost) || index.contradicts(indexedUpTo);
    const isOfAnotherTime = index.mayBeOld || (index.isNamed && hasOtherRecords);
    return { fromQueue, fromIndex, losses, isOfAnotherTime };
  } finally {
    index.close();
  }
}

interface Queued {
  /** The operation that gave its last vector, if the queue has it. */
  readonly vectorAt: number | undefined;
  readonly lastAt: number;
  readonly isThere: boolean;
}

/** What the queue says of each record, up to the operation that the METADATA segment has applied. */
function lastQueued(
  queue: CollectionQueue,
  options: {
    readonly indexedUpTo: number;
    readonly recordedUpTo: number;
    readonly isIndexed: (id: string) => boolean;
  },
): ReadonlyMap<string, Queued> {
  const { indexedUpTo, recordedUpTo, isIndexed } = options;
  const found = new Map<string, Queued>();
  for (const { seqId, operation, id, hasVector } of queue.after(0)) {
    if (seqId > recordedUpTo) break;
    const before = found.get(id);
    if (operation === operationCode.delete) {
      found.set(id, { vectorAt: undefined, lastAt: seqId, isThere: false });
      continue;
    }
    const wasThere = before?.isThere ?? (seqId > indexedUpTo && isIndexed(id));
    // To add what is there changes nothing.
    const isIgnored = operation === operationCode.add && wasThere;
    found.set(id, {
      vectorAt: hasVector && !isIgnored ? seqId : before?.vectorAt,
      lastAt: isIgnored ? (before?.lastAt ?? 0) : seqId,
      isThere: true,
    });
  }
  return found;
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength);
