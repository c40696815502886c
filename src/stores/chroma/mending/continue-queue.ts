import type Database from 'better-sqlite3';
import { readCollections } from '../sysdb.ts';
import { topicOf } from '../topic.ts';

/** Operation code of `embeddings_queue`. */
const deletion = 3;
/** No record has this id: Chroma refuses empty ones. */
const nobody = '';

/**
 * Lets the queue of a collection end where its segments say that it does. Chroma numbers operations by the rows that it finds, and
 * both segments skip a number that they have applied: after the queue was emptied, writes are acknowledged and dropped.
 * The row is the deletion of a record that never was, which every version ignores.
 */
export function continueQueue(db: Database.Database, collectionId: string): void {
  const collection = readCollections(db).find(({ id }) => id === collectionId);
  const { vectorSegment, metadataSegment } = collection ?? {};
  const applied = Math.max(vectorSegment?.maxSeqId ?? 0, metadataSegment?.maxSeqId ?? 0);
  const isTaken = db.prepare('SELECT 1 FROM embeddings_queue WHERE seq_id = ?').get(applied) !== undefined;
  const last = Number(db.prepare('SELECT coalesce(max(seq_id), 0) FROM embeddings_queue').pluck().get());
  db.prepare(
    'INSERT INTO embeddings_queue (seq_id, operation, topic, id, metadata) VALUES (?, ?, ?, ?, ?)',
  ).run(isTaken ? Math.max(last, applied) + 1 : applied, deletion, topicOf(db, collectionId), nobody, '{}');
}
