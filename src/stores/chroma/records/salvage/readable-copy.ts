import Database from 'better-sqlite3';
import { sqliteCodeOf } from '../../../sqlite/sqlite-image.ts';

/** The tables that records are read of. */
export const recordTables = [
  'tenants',
  'databases',
  'collections',
  'collection_metadata',
  'segments',
  'segment_metadata',
  'max_seq_id',
  'embeddings',
  'embedding_metadata',
  'embedding_metadata_array',
  'embeddings_queue',
] as const;

export interface ReadableCopy {
  readonly db: Database.Database;
  /** Tables of which rows could not be read. */
  readonly damaged: ReadonlySet<string>;
}

/**
 * Copies every row that can be read into a new database at `path`, without trusting an index: damaged pages are stepped over. Undefined
 * if not even the list of tables can be read.
 */
export function copyReadable(from: Database.Database, path: string): ReadableCopy | undefined {
  const tables = tolerate(
    () =>
      from.prepare("SELECT name, sql FROM sqlite_master WHERE type = 'table' AND sql IS NOT NULL").all() as {
        readonly name: string;
        readonly sql: string;
      }[],
  );
  if (tables === undefined) return undefined;
  const db = new Database(path);
  db.pragma('foreign_keys = off');
  db.pragma('synchronous = off');
  db.pragma('journal_mode = off');
  const damaged = new Set<string>();
  for (const { name, sql } of tables) {
    if (!(recordTables as readonly string[]).includes(name)) continue;
    db.exec(sql);
    if (!copyTable(from, db, name)) damaged.add(name);
  }
  return { db, damaged };
}

/** Whether all of it could be read. */
function copyTable(from: Database.Database, to: Database.Database, table: string): boolean {
  const rows = from
    .prepare(`SELECT rowid AS "rowid of copy", * FROM "${table}" NOT INDEXED WHERE rowid >= ? ORDER BY rowid`)
    .safeIntegers()
    .raw();
  const columns = rows.columns().map(({ name }) => name);
  const names = ['rowid', ...columns.slice(1).map((name) => `"${name}"`)].join(', ');
  const insert = to.prepare(
    `INSERT OR IGNORE INTO "${table}" (${names}) VALUES (${columns.map(() => '?').join(', ')})`,
  );
  let next = smallest;
  let isWhole = true;
  to.exec('BEGIN');
  try {
    for (;;) {
      const reached = tolerate(() => {
        for (const row of rows.iterate(next)) {
          insert.run(row);
          next = ((row as bigint[])[0] as bigint) + 1n;
        }
        return true;
      });
      if (reached === true) return isWhole;
      isWhole = false;
      const after = nextReadable(from, table, next);
      if (after === undefined) return false;
      next = after;
    }
  } finally {
    to.exec('COMMIT');
  }
}

const smallest = -(2n ** 63n);
const largest = 2n ** 63n - 1n;

/** The first row behind a damaged page: SQLite finds rows by number as long as the pages above them are sound. */
function nextReadable(db: Database.Database, table: string, from: bigint): bigint | undefined {
  const seek = db
    .prepare(`SELECT rowid FROM "${table}" NOT INDEXED WHERE rowid >= ? ORDER BY rowid LIMIT 1`)
    .safeIntegers()
    .pluck();
  const isReadable = (number: bigint): boolean => tolerate(() => (seek.get(number), true)) === true;
  let step = 1n;
  let bad = from;
  let good: bigint | undefined;
  // Rows have small positive numbers; the search starts where they can be.
  for (let at = from < 0n ? 1n : from; at <= largest; at += step, step *= 2n) {
    if (isReadable(at)) {
      good = at;
      break;
    }
    bad = at;
  }
  if (good === undefined) return undefined;
  while (good - bad > 1n) {
    const middle: bigint = (good + bad) / 2n;
    if (isReadable(middle)) good = middle;
    else bad = middle;
  }
  return good;
}

/** Undefined if SQLite says that what was read is damaged. */
export function tolerate<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    const code = sqliteCodeOf(error);
    if (code === undefined || !/^SQLITE_(CORRUPT|NOTADB|IOERR|ERROR|FORMAT)/.test(code)) throw error;
    return undefined;
  }
}
