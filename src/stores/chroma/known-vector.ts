import type Database from 'better-sqlite3';

/** A vector that the index must hold, whatever else is pending. */
export interface KnownVector {
  readonly id: Buffer;
  readonly vector: Float32Array;
}

/**
 * The operation a vector segment was last persisted at, if its vector can be looked up in the index. Purging
 * deletes what is *below* that operation (rust/log/src/sqlite_log.rs, purge_logs), so its row stays in the queue,
 * vector and all; if it is also the last word on its id, the persisted index must have exactly that vector. This
 * tells an index of another generation whose ids are the same: only updates lie between.
 */
export function findKnownVector(
  db: Database.Database,
  facts: { readonly topic: string; readonly indexedUpTo: number; readonly metadataSegment: string },
): KnownVector | undefined {
  const row = db
    .prepare(
      'SELECT CAST(id AS BLOB), vector, encoding FROM embeddings_queue WHERE seq_id = ? AND topic = ? AND operation IN (0, 1, 2)',
    )
    .raw()
    .get(facts.indexedUpTo, facts.topic) as [Buffer, Buffer | null, string | null] | undefined;
  if (row === undefined || row[1] === null || row[2] !== 'FLOAT32' || row[1].length % 4 !== 0)
    return undefined;
  const isLastWord = db
    .prepare(
      'SELECT seq_id IN (?, ?) FROM embeddings WHERE segment_id = ? AND embedding_id = CAST(? AS TEXT)',
    )
    .pluck()
    .get(facts.indexedUpTo, bigEndian(facts.indexedUpTo), facts.metadataSegment, row[0]);
  if (isLastWord !== 1) return undefined;
  return { id: row[0], vector: floatsAt(row[1], 0, row[1].length / 4) };
}

/** Whether a stored vector is the known one, as it is or, in cosine space, divided by its length. */
export function matchesKnownVector(
  vector: Float32Array,
  bytes: Buffer,
  start: number,
  header: { readonly dimension: number },
): boolean {
  if (vector.length !== header.dimension) return false;
  const stored = floatsAt(bytes, start, header.dimension);
  if (!vector.every(Number.isFinite) || !stored.every(Number.isFinite)) return true;
  const length = Math.hypot(...lanes(vector));
  const isClose = (scale: number): boolean =>
    vector.every(
      (value, i) => Math.abs(value * scale - (stored[i] as number)) <= 1e-4 * (length * scale) + 1e-30,
    );
  return isClose(1) || (length > 0 && isClose(1 / length)) || length < 1e-20;
}

/** hypot in chunks: the arguments of a call are limited. */
function* lanes(vector: Float32Array): Generator<number> {
  for (let i = 0; i < vector.length; i += 1024) yield Math.hypot(...vector.subarray(i, i + 1024));
}

function floatsAt(bytes: Buffer, start: number, count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => bytes.readFloatLE(start + 4 * i));
}

function bigEndian(seqId: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(seqId));
  return bytes;
}
