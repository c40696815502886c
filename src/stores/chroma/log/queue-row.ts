import { hash } from 'node:crypto';
import type { LoggedOperation } from '../../operation-log.ts';
import { fromJson, toJson } from './values.ts';
import type { SqlValue } from './values.ts';

/** The columns of `embeddings_queue`, the same in all versions (chromadb/migrations/embeddings_queue). */
const columns = [
  'seq_id',
  'created_at',
  'operation',
  'topic',
  'id',
  'vector',
  'encoding',
  'metadata',
] as const;

export const columnList = columns.join(', ');
export const placeholders = columns.map(() => '?').join(', ');

/** A row of the queue as one line: a JSON array in the order of the columns. */
export function operationOf(row: readonly unknown[]): LoggedOperation {
  return { number: Number(row[0]), text: `[${row.map(toText).join(',')}]` };
}

/** The digits of a blob are most of a row, and need no escapes. */
const toText = (value: unknown): string =>
  Buffer.isBuffer(value) ? `{"blob":"${value.toString('hex')}"}` : JSON.stringify(toJson(value));

/** The row that a line holds. Throws TypeError or SyntaxError for any other line. */
export function rowOf(line: string): readonly SqlValue[] {
  const values: unknown = JSON.parse(line);
  if (!Array.isArray(values) || values.length !== columns.length)
    throw new TypeError(`a row has not the ${columns.length} columns ${columnList}`);
  const row = values.map(fromJson);
  if (!Number.isSafeInteger(row[0]) || Number(row[0]) < 1)
    throw new TypeError('the number of an operation is no positive integer');
  return row;
}

export function digestOf(text: string): string {
  return hash('sha256', text);
}
