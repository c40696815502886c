import type Database from 'better-sqlite3';
import type { IdLedger } from './id-ledger.ts';

/** What `embeddings_queue` holds of one collection. */
export interface QueueTopic {
  readonly topic: string;
  readonly lastSeqId: number;
  /** Operations above the limit that was asked for. */
  readonly pending: number;
}

/**
 * One look at the queue, by collection id. A topic is `persistent://<tenant>/<namespace>/<collection id>`
 * (rust/sqlite/src/helpers.rs, get_embeddings_queue_topic_name), with settings nobody knows before the id.
 * `settledUpTo` says above which operation a collection's rows are pending.
 */
export function readQueueTopics(
  db: Database.Database,
  settledUpTo: (collectionId: string) => number | undefined,
): Map<string, QueueTopic> {
  const states = new Map<string, { limit: number; lastSeqId: number; pending: number }>();
  for (const row of db.prepare('SELECT seq_id, topic FROM embeddings_queue').raw().iterate()) {
    const [seqId, topic] = row as [number, string];
    let state = states.get(topic);
    if (state === undefined) {
      state = { limit: settledUpTo(collectionOf(topic)) ?? Infinity, lastSeqId: seqId, pending: 0 };
      states.set(topic, state);
    }
    if (seqId > state.lastSeqId) state.lastSeqId = seqId;
    if (seqId > state.limit) state.pending += 1;
  }
  return new Map(
    [...states].map(([topic, { lastSeqId, pending }]) => [
      collectionOf(topic),
      { topic, lastSeqId, pending },
    ]),
  );
}

/** Feeds the pending operations of some topics to their ledgers, in order. */
export function replayQueue(db: Database.Database, ledgers: ReadonlyMap<string, IdLedger>): void {
  const from = Math.min(...[...ledgers.values()].map((ledger) => ledger.settledUpTo));
  if (!Number.isFinite(from)) return;
  const rows = db
    .prepare(
      'SELECT seq_id, topic, operation, CAST(id AS BLOB) FROM embeddings_queue WHERE seq_id > ? ORDER BY seq_id',
    )
    .raw();
  for (const row of rows.iterate(from)) {
    const [seqId, topic, operation, id] = row as [number, string, number, Buffer];
    ledgers.get(topic)?.operation(id, operation, seqId);
  }
}

function collectionOf(topic: string): string {
  return topic.slice(topic.lastIndexOf('/') + 1);
}
