import type Database from 'better-sqlite3';
import { SyncAgentError } from '../../../platform/errors.ts';
import { seqIdOf } from '../sysdb.ts';
import type { CollectionFacts } from '../sysdb.ts';
import { topicOf } from '../topic.ts';

/** Operation codes of `embeddings_queue` (chromadb/db/mixins/embeddings_queue.py, _operation_codes). */
const upsert = 2;
const deletion = 3;

/** The vector of one record, as a client gave it: 32-bit floats, little endian. */
export interface FoundVector {
  readonly id: string;
  readonly vector: Buffer;
}

/**
 * Puts the vectors of a collection back into the queue, from which Chroma builds an index anew at the first read: one upsert for each
 * record, under the number of its last operation. The METADATA segment has applied those numbers, so it skips them. The VECTOR
 * segment forgets how far it was: otherwise the first purge would empty the queue before the index is built.
 *
 * What the queue holds of the collection already stays, so that its numbers go on; an operation that would bring back
 * a record that is gone becomes a deletion, which is ignored. Part of the caller's transaction.
 */
export function requeueVectors(
  db: Database.Database,
  { id, name, vectorSegment, metadataSegment }: CollectionFacts,
): (found: FoundVector) => void {
  const topic = topicOf(db, id);
  const segment = metadataSegment?.id ?? '';
  db.prepare(
    `UPDATE embeddings_queue SET operation = ${deletion}, vector = NULL, encoding = NULL, metadata = '{}'
     WHERE topic = ? AND seq_id <= ? AND operation <> ${deletion}
       AND NOT EXISTS (SELECT 1 FROM embeddings WHERE segment_id = ? AND embedding_id = embeddings_queue.id)`,
  ).run(topic, metadataSegment?.maxSeqId ?? 0, segment);
  db.prepare('DELETE FROM max_seq_id WHERE segment_id = ?').run(vectorSegment?.id ?? '');
  const seqOf = db.prepare('SELECT seq_id FROM embeddings WHERE segment_id = ? AND embedding_id = ?').pluck();
  const takenBy = db.prepare('SELECT 1 FROM embeddings_queue WHERE seq_id = ? AND (topic <> ? OR id <> ?)');
  const insert = db.prepare(
    `INSERT OR REPLACE INTO embeddings_queue (seq_id, operation, topic, id, vector, encoding, metadata)
     VALUES (?, ${upsert}, ?, ?, ?, 'FLOAT32', '{}')`,
  );
  return ({ id: record, vector }) => {
    const seqId = seqIdOf(seqOf.get(segment, record));
    if (seqId === null || takenBy.get(seqId, topic, record) !== undefined) {
      throw new SyncAgentError(
        'STORE_CORRUPT',
        `Cannot rebuild the vector index of collection "${name}": the operation of record ${JSON.stringify(record)} has the number ${seqId} of another one`,
      );
    }
    insert.run(seqId, topic, record, vector);
  };
}
