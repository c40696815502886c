import type Database from 'better-sqlite3';
import type { IdLedger } from './id-ledger.ts';
import { seqIdOf } from './sysdb.ts';

export interface RecordReader {
  readonly ledger: IdLedger;
  readonly topic: string | undefined;
  /** Records last written by an operation the index does not hold and the queue no longer has. */
  lost: number;
  /** The first of them. */
  lostId: string | undefined;
}

/**
 * One look at every record, handed to the ledger of its METADATA segment. On the way each record newer than the
 * index must still have its last operation in the queue: nothing else could bring it into the index. Lost adds and
 * deletes are also seen by the id equation; a lost update that another one follows is not seen. Gaps in the numbers
 * prove nothing: they count all collections together, and a deleted one takes its operations along.
 */
export function readRecords(db: Database.Database, readers: ReadonlyMap<string, RecordReader>): void {
  const isQueued = db.prepare(
    'SELECT 1 FROM embeddings_queue WHERE seq_id = ? AND topic = ? AND id = CAST(? AS TEXT)',
  );
  isQueued.pluck();
  const rows = db.prepare('SELECT segment_id, CAST(embedding_id AS BLOB), seq_id FROM embeddings').raw();
  for (const row of rows.iterate()) {
    const [segmentId, id, storedSeqId] = row as [string, Buffer, unknown];
    const reader = readers.get(segmentId);
    if (reader === undefined) continue;
    reader.ledger.record(id);
    const seqId = seqIdOf(storedSeqId);
    if (seqId === null || seqId <= reader.ledger.indexedUpTo) continue;
    if (reader.topic !== undefined && isQueued.get(seqId, reader.topic, id) !== undefined) continue;
    reader.lost += 1;
    reader.lostId ??= id.toString();
  }
}
