import type Database from 'better-sqlite3';

/** Operation codes of `embeddings_queue` (chromadb/db/mixins/embeddings_queue.py, _operation_codes). */
export const operationCode = { add: 0, update: 1, upsert: 2, delete: 3 } as const;

export interface QueuedOperation {
  readonly seqId: number;
  readonly operation: number;
  readonly id: string;
  /** Whether it carries a vector. */
  readonly hasVector: boolean;
}

/**
 * The write queue of one collection: what a segment has not applied yet. Only ids and numbers are kept by those who replay it; vectors
 * and metadata are read again by their number, so that memory does not depend on them.
 */
export interface CollectionQueue {
  /** In order, above `seqId`. */
  after(seqId: number): Iterable<QueuedOperation>;
  metadataOf(seqId: number): string | null;
  /** Null if it has none that can be read. */
  vectorOf(seqId: number): Float32Array | null;
}

/** A topic is `persistent://<tenant>/<namespace>/<collection id>`, with settings that nobody knows before the id. */
export function readQueue(db: Database.Database, collectionId: string): CollectionQueue {
  const rows = db
    .prepare(
      "SELECT seq_id, operation, id, vector IS NOT NULL FROM embeddings_queue WHERE seq_id > ? AND topic LIKE '%/' || ? ORDER BY seq_id",
    )
    .raw();
  const metadata = db.prepare('SELECT metadata FROM embeddings_queue WHERE seq_id = ?').pluck();
  const vector = db.prepare('SELECT vector, encoding FROM embeddings_queue WHERE seq_id = ?').raw();
  return {
    after: function* (seqId) {
      for (const row of rows.iterate(seqId, collectionId)) {
        const [number, operation, id, hasVector] = row as [number, number, string, number];
        yield { seqId: number, operation, id, hasVector: hasVector === 1 };
      }
    },
    metadataOf: (seqId) => (metadata.get(seqId) as string | null | undefined) ?? null,
    vectorOf: (seqId) => {
      const [bytes, encoding] = (vector.get(seqId) ?? [null, null]) as [Buffer | null, string | null];
      return bytes === null ? null : decodeVector(bytes, encoding);
    },
  };
}

/** `FLOAT32` or `INT32`, little endian (chromadb/types.py, ScalarEncoding). */
function decodeVector(bytes: Buffer, encoding: string | null): Float32Array | null {
  if (bytes.length === 0 || bytes.length % 4 !== 0) return null;
  const count = bytes.length / 4;
  if (encoding === 'FLOAT32') return Float32Array.from({ length: count }, (_, i) => bytes.readFloatLE(4 * i));
  if (encoding === 'INT32') return Float32Array.from({ length: count }, (_, i) => bytes.readInt32LE(4 * i));
  return null;
}
