import { join } from 'node:path';
import { openDatabaseAsItLies } from '../../sqlite/crashed-database.ts';
import type { OperationLog } from '../../operation-log.ts';
import { QueueFollower } from './queue-follower.ts';
import { QueueTarget } from './queue-target.ts';
import { readPosition, wasAt } from './position.ts';
import { collectionOf } from './operation-ledger.ts';
import { rowOf } from './queue-row.ts';
import type Database from 'better-sqlite3';

const databaseName = 'chroma.sqlite3';

/** Chroma's write queue. All versions since 0.4 have the same (chromadb/migrations/embeddings_queue). */
export const queueLog: OperationLog = {
  follow: (dir) => new QueueFollower(dir),
  openTarget: (dir) => new QueueTarget(dir),
  positionOf: (dir, scratch) => asItLies(dir, scratch, readPosition),
  wasAt: (dir, position, scratch) => asItLies(dir, scratch, (db) => wasAt(db, position)) ?? 'unknown',
  subjectOf: (line) => {
    if (!line.startsWith('[')) return undefined;
    const [, , , topic, id] = rowOf(line);
    return typeof topic === 'string' && typeof id === 'string'
      ? { collection: collectionOf(topic), id }
      : undefined;
  },
};

function asItLies<T>(dir: string, scratch: string, work: (db: Database.Database) => T): T | undefined {
  const image = openDatabaseAsItLies(join(dir, databaseName), databaseName, scratch);
  if (typeof image === 'string') return undefined;
  try {
    return work(image.db);
  } finally {
    image.close();
  }
}
