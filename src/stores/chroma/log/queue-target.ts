import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { SyncAgentError, messageOf } from '../../../platform/errors.ts';
import type { LogPosition, LogTarget } from '../../operation-log.ts';
import { sqliteCodeOf } from '../../sqlite/sqlite-image.ts';
import { removeOrphanRows } from '../mending/orphan-rows.ts';
import { persistedType } from '../sysdb.ts';
import { newestOperation, readPosition } from './position.ts';
import { columnList, digestOf, placeholders, rowOf } from './queue-row.ts';
import { digestOfLines, loggedTables, writeTables } from './tables.ts';

/**
 * Puts operations into the queue of a copy, under their own numbers. Chroma applies what is above the `max_seq_id` of each segment at
 * the first access to its collection, as it does with what was queued when it was killed. The other tables become what they
 * were; what belongs to collections that were deleted meanwhile goes with them.
 */
export class QueueTarget implements LogTarget {
  readonly #dir: string;
  readonly #db: Database.Database;
  readonly #insert: Database.Statement;
  #position: LogPosition;
  /** Of the tables, since the first of them. Empty if no segment has any. */
  #tables: string[] = [];
  #isInTables = false;

  constructor(dir: string) {
    this.#dir = dir;
    this.#db = new Database(join(dir, 'chroma.sqlite3'), { fileMustExist: true });
    this.#db.pragma('foreign_keys = off');
    // What was synced before is written again here, and swapped in as soon as this is done: also the journal must be gone for good.
    this.#db.pragma('synchronous = extra');
    this.#position = readPosition(this.#db);
    this.#insert = this.#db.prepare(`INSERT INTO embeddings_queue (${columnList}) VALUES (${placeholders})`);
    this.#db.exec('BEGIN IMMEDIATE');
  }

  get position(): LogPosition {
    return this.#position;
  }

  cut(number: number): void {
    this.#endTables();
    this.#db.prepare('DELETE FROM embeddings_queue WHERE seq_id > ?').run(number);
    this.#position = { ...this.#position, ...newestOperation(this.#db) };
  }

  put(line: string): void {
    misfit(() => {
      if (line.startsWith('{')) this.#putTable(line);
      else this.#putOperation(line);
    });
  }

  finish(): LogPosition {
    this.#endTables();
    const hasTables = this.#tables.length > 0;
    misfit(() => {
      if (!hasTables) return;
      writeTables(this.#db, this.#tables);
      removeOrphanRows(this.#db, loggedTables);
    });
    this.#db.exec('COMMIT');
    if (hasTables) this.#removeFolders();
    this.#position = readPosition(this.#db);
    return this.#position;
  }

  close(): void {
    this.#db.close();
  }

  #putOperation(line: string): void {
    this.#endTables();
    const row = rowOf(line);
    const number = Number(row[0]);
    const expected = this.#position.number + 1;
    if (number !== expected) throw new TypeError(`operation ${number} does not follow ${expected - 1}`);
    this.#insert.run(...row);
    this.#position = { ...this.#position, number, operation: digestOf(line) };
  }

  /** Only what the last segment says of them counts. Each says all, and so begins with the line that the others began with. */
  #putTable(line: string): void {
    if (line === this.#tables[0]) this.#endTables();
    if (!this.#isInTables) this.#tables = [];
    this.#isInTables = true;
    this.#tables.push(line);
  }

  #endTables(): void {
    if (!this.#isInTables) return;
    this.#isInTables = false;
    this.#position = { ...this.#position, rest: digestOfLines(this.#tables) };
  }

  /** Chroma removes the folder of an index with its collection. */
  #removeFolders(): void {
    const kept = new Set(
      this.#db.prepare('SELECT id FROM segments WHERE type = ?').pluck().all(persistedType) as string[],
    );
    for (const entry of readdirSync(this.#dir, { withFileTypes: true })) {
      if (!entry.isDirectory() || kept.has(entry.name)) continue;
      const folder = join(this.#dir, entry.name);
      if (existsSync(join(folder, 'header.bin')) || existsSync(join(folder, 'index_metadata.pickle')))
        rmSync(folder, { recursive: true });
    }
  }
}

/** Whatever SQLite or a line's form says against it: the log does not fit the copy. A disk that is full or fails is another matter. */
function misfit(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (/^SQLITE_(FULL|IOERR|NOMEM)/.test(sqliteCodeOf(error) ?? '')) throw error;
    throw new SyncAgentError('STORE_CORRUPT', `Cannot apply a log: ${messageOf(error)}`, { cause: error });
  }
}
