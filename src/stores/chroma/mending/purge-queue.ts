import type Database from 'better-sqlite3';
import { readCollections } from '../sysdb.ts';

/**
 * What of the queue both segments of a collection have applied and recorded, by the rule of Chroma's own purge: everything below
 * the lower of their two numbers, and nothing if one of them has none (rust/log/src/local_compaction_manager.rs,
 * PurgeLogsMessage, and sqlite_log.rs, purge_logs). The last row of all stays: Chroma counts on from it.
 */
function purgeableUpTo(
  db: Database.Database,
): readonly { readonly collection: string; readonly below: number }[] {
  return readCollections(db).flatMap(({ id, vectorSegment, metadataSegment }) => {
    const below = Math.min(vectorSegment?.maxSeqId ?? 0, metadataSegment?.maxSeqId ?? 0);
    return below > 0 ? [{ collection: id, below }] : [];
  });
}

const ofCollection =
  "topic LIKE '%/' || ? AND seq_id < ? AND seq_id < (SELECT max(seq_id) FROM embeddings_queue)";

/** Operations that a purge would remove, and the bytes of their rows. */
export function countPurgeable(db: Database.Database): {
  readonly operations: number;
  readonly bytes: number;
} {
  const count = db.prepare(
    `SELECT count(*) AS operations, total(length(topic) + length(id) + coalesce(length(vector), 0) + coalesce(length(CAST(metadata AS BLOB)), 0)) AS bytes
     FROM embeddings_queue WHERE ${ofCollection}`,
  );
  let [operations, bytes] = [0, 0];
  for (const { collection, below } of purgeableUpTo(db)) {
    const found = count.get(collection, below) as { operations: number; bytes: number };
    operations += found.operations;
    bytes += found.bytes;
  }
  return { operations, bytes };
}

/** Returns the number of operations removed. */
export function purgeQueue(db: Database.Database): number {
  const remove = db.prepare(`DELETE FROM embeddings_queue WHERE ${ofCollection}`);
  return db.transaction(() =>
    purgeableUpTo(db).reduce((sum, { collection, below }) => sum + remove.run(collection, below).changes, 0),
  )();
}
