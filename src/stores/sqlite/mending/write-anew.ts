import { renameSync, rmSync } from 'node:fs';
import Database from 'better-sqlite3';
import { SyncAgentError, messageOf } from '../../../platform/errors.ts';
import { sqliteCodeOf } from '../sqlite-image.ts';

export interface WriteAnewOptions {
  /** Names the database in errors: its path in the store. */
  readonly label: string;
  /** By the name of a virtual table: the statement that fills it from the tables. */
  readonly fill: ReadonlyMap<string, string>;
}

/**
 * Writes a database anew from its tables: rows are read in the order of the tables themselves, never by an index, and all
 * indexes are built from them. REINDEX and DROP TABLE cannot do that: to free the pages of what they replace they read them,
 * and a broken page ends them. VACUUM copies a broken index as it is.
 *
 * The database is a copy, and nobody else's. The new one takes its place by a rename once it is complete. STORE_CORRUPT if a table
 * cannot be read whole, or breaks its own rules; then the database is as it was.
 */
export function writeDatabaseAnew(path: string, options: WriteAnewOptions): void {
  const next = `${path}-anew`;
  rmSync(next, { force: true });
  const db = new Database(next);
  try {
    db.prepare('ATTACH ? AS old').run(path);
    const journalMode = String(db.pragma('old.journal_mode', { simple: true }));
    copyAll(db, options);
    // Ends the log of the old one, if it has any.
    db.exec('DETACH old');
    if (journalMode === 'wal') db.pragma('journal_mode = wal');
    db.close();
  } catch (error) {
    db.close();
    rmSync(next, { force: true });
    throw sqliteCodeOf(error) === undefined || sqliteCodeOf(error) === 'SQLITE_FULL'
      ? error
      : new SyncAgentError(
          'STORE_CORRUPT',
          `Cannot write ${options.label} anew from its tables: ${messageOf(error)}`,
          { cause: error },
        );
  }
  for (const end of ['-journal', '-wal', '-shm']) rmSync(path + end, { force: true });
  renameSync(next, path);
}

interface SchemaRow {
  readonly type: 'table' | 'index' | 'trigger' | 'view';
  readonly name: string;
  readonly sql: string;
}

function copyAll(db: Database.Database, { label, fill }: WriteAnewOptions): void {
  for (const name of ['page_size', 'auto_vacuum', 'encoding', 'user_version', 'application_id'])
    db.pragma(`main.${name} = ${literal(db.pragma(`old.${name}`, { simple: true }))}`);
  db.pragma('main.journal_mode = off');
  db.pragma('main.synchronous = off');
  db.pragma('foreign_keys = off');
  // A row that broke such a rule before is still a row.
  db.pragma('ignore_check_constraints = on');
  const schema = db
    .prepare('SELECT type, name, sql FROM old.sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid')
    .all() as SchemaRow[];
  const tables = schema.filter(({ type, name }) => type === 'table' && !name.startsWith('sqlite_'));
  const virtual = tables.filter(({ sql }) => /^CREATE\s+VIRTUAL\s+TABLE/i.test(sql));
  const ordinary = tables.filter(
    (table) => !virtual.includes(table) && !virtual.some(({ name }) => table.name.startsWith(`${name}_`)),
  );
  db.exec('BEGIN');
  for (const { name, sql } of ordinary) {
    db.exec(sql);
    copyRows(db, name);
  }
  const hasSequences = schema.some(({ name }) => name === 'sqlite_sequence');
  if (hasSequences)
    db.exec(
      'DELETE FROM main.sqlite_sequence; INSERT INTO main.sqlite_sequence SELECT * FROM old.sqlite_sequence',
    );
  for (const { type, sql } of schema) if (type === 'index') db.exec(sql);
  for (const { name, sql } of virtual) {
    const filling = fill.get(name);
    if (filling === undefined)
      throw new SyncAgentError(
        'STORE_CORRUPT',
        `Cannot write ${label} anew: nobody knows what table "${name}" is made from`,
      );
    db.exec(sql);
    db.exec(filling);
  }
  for (const { type, sql } of schema) if (type === 'trigger' || type === 'view') db.exec(sql);
  db.exec('COMMIT');
  if (schema.some(({ name }) => name === 'sqlite_stat1')) db.exec('ANALYZE main');
}

/** Keeps the numbers of rows, which other tables may refer to. */
function copyRows(db: Database.Database, table: string): void {
  const columns = db
    .prepare('SELECT name FROM pragma_table_xinfo(?, ?) WHERE hidden = 0')
    .pluck()
    .all(table, 'main') as string[];
  const rowId = ['rowid', '_rowid_', 'oid'].find(
    (each) => !columns.some((name) => name.toLowerCase() === each),
  );
  const names = columns.map(quoted);
  if (rowId !== undefined && hasColumn(db, table, rowId)) names.unshift(rowId);
  const list = names.join(', ');
  db.exec(`INSERT INTO main.${quoted(table)} (${list}) SELECT ${list} FROM old.${quoted(table)} NOT INDEXED`);
}

/** A table WITHOUT ROWID has none of its names. */
function hasColumn(db: Database.Database, table: string, column: string): boolean {
  try {
    db.prepare(`SELECT ${column} FROM main.${quoted(table)}`);
    return true;
  } catch {
    return false;
  }
}

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;
const literal = (value: unknown): string =>
  typeof value === 'number' ? String(value) : quoted(String(value));
