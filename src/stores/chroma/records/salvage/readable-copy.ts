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

/** Directories of Chroma before 1.5 have none. */
const newTable = 'embedding_metadata_array';

export interface ReadableCopy {
  readonly db: Database.Database;
  /** Tables of which rows could not be read, and those that are missing. */
  readonly damaged: ReadonlySet<string>;
}

/** Copies every row that can be read into a new database at `path`, without trusting an index: damaged pages are stepped over. */
export function copyReadable(from: Database.Database, path: string): ReadableCopy {
  const listed = tolerate(
    () =>
      from.prepare("SELECT name, sql FROM sqlite_master WHERE type = 'table' AND sql IS NOT NULL").all() as {
        readonly name: string;
        readonly sql: string;
      }[],
  );
  const sqls = new Map(listed?.map(({ name, sql }) => [name, sql]));
  const db = new Database(path);
  db.pragma('foreign_keys = off');
  db.pragma('synchronous = off');
  db.pragma('journal_mode = off');
  const damaged = new Set<string>();
  for (const table of recordTables) {
    const sql = sqls.get(table);
    if (sql !== undefined) db.exec(sql);
    const isWhole = sql === undefined ? table === newTable : copyTable(from, db, table);
    if (!isWhole) damaged.add(table);
  }
  return { db, damaged };
}

/** Whether a copy has every row that the index of a table's primary key names: then none is lost. False if there is no such index. */
export function isComplete(from: Database.Database, copy: Database.Database, table: string): boolean {
  const complete = tolerate(() => {
    const index = `sqlite_autoindex_${table}_1`;
    const first = from.prepare('SELECT name FROM pragma_index_info(?)').pluck().get(index);
    const named = from
      .prepare(`SELECT rowid FROM "${table}" INDEXED BY "${index}" WHERE "${String(first)}" >= ?`)
      .pluck();
    const isThere = copy.prepare(`SELECT 1 FROM "${table}" WHERE rowid = ?`);
    for (const rowid of named.iterate(table === 'embedding_metadata' ? -1 : ''))
      if (isThere.get(rowid) === undefined) return false;
    return true;
  });
  return complete === true;
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
