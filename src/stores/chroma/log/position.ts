import type Database from 'better-sqlite3';
import type { LogPosition } from '../../operation-log.ts';
import { columnList, digestOf, operationOf } from './queue-row.ts';
import { prepared } from './prepared.ts';
import { readTables } from './tables.ts';

/**
 * Where a store stands. A purge removes what all segments have applied, and leaves the newest row: numbers go on from it.
 * Part of the caller's transaction.
 */
export function readPosition(db: Database.Database): LogPosition {
  const newest = newestOperation(db);
  return { ...newest, rest: readTables(db).digest };
}

export function newestOperation(db: Database.Database): Omit<LogPosition, 'rest'> {
  const row = prepared(db, `SELECT ${columnList} FROM embeddings_queue ORDER BY seq_id DESC LIMIT 1`)
    .raw()
    .safeIntegers()
    .get() as unknown[] | undefined;
  if (row === undefined) return { number: 0, operation: null };
  const { number, text } = operationOf(row);
  return { number, operation: digestOf(text) };
}

/** Whether the store was at a position before its newest operations, as far as the queue still has them. */
export function wasAt(db: Database.Database, { number, operation }: LogPosition): 'yes' | 'no' | 'unknown' {
  if (number === 0) return 'yes';
  const present = digestAt(db, number);
  if (present !== undefined) return present === operation ? 'yes' : 'no';
  return newestOperation(db).number < number ? 'no' : 'unknown';
}

/** The digest of one operation; undefined if the queue does not have it any more. */
export function digestAt(db: Database.Database, number: number): string | undefined {
  const row = prepared(db, `SELECT ${columnList} FROM embeddings_queue WHERE seq_id = ?`)
    .raw()
    .safeIntegers()
    .get(number) as unknown[] | undefined;
  return row === undefined ? undefined : digestOf(operationOf(row).text);
}
