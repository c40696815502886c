import { createHash } from 'node:crypto';
import type Database from 'better-sqlite3';
import { prepared } from './prepared.ts';
import { fromJson, toJson } from './values.ts';

/**
 * What Chroma keeps beside its queue: who and what there is. These tables are small and written by no operation of the queue,
 * so they are copied whole. Those of older versions lack some of them (chromadb/migrations/sysdb).
 */
export const loggedTables = [
  'tenants',
  'databases',
  'collections',
  'collection_metadata',
  'segments',
  'segment_metadata',
] as const;

type Table = (typeof loggedTables)[number];

/** One line of each row, after one line of each table; and their digest. */
export interface TableState {
  readonly lines: readonly string[];
  readonly digest: string;
}

/** Part of the caller's transaction. */
export function readTables(db: Database.Database): TableState {
  const lines: string[] = [];
  for (const table of presentIn(db)) {
    const statement = prepared(db, `SELECT * FROM "${table}" ORDER BY rowid`);
    const columns = statement.columns().map(({ name }) => name);
    lines.push(JSON.stringify({ table, columns }));
    for (const row of statement.raw().safeIntegers().all() as unknown[][])
      lines.push(JSON.stringify({ row: row.map(toJson) }));
  }
  return { lines, digest: digestOfLines(lines) };
}

export function digestOfLines(lines: readonly string[]): string {
  const hash = createHash('sha256');
  for (const line of lines) hash.update(line).update('\n');
  return hash.digest('hex');
}

/** Replaces the tables by what such lines say. Foreign keys must be off. */
export function writeTables(db: Database.Database, lines: readonly string[]): void {
  let insert: Database.Statement | undefined;
  const present = new Set<string>(presentIn(db));
  for (const line of lines) {
    const parsed = JSON.parse(line) as { table?: string; columns?: string[]; row?: unknown[] };
    if (parsed.row !== undefined) {
      if (insert === undefined) throw new TypeError('a row comes before its table');
      insert.run(...parsed.row.map(fromJson));
      continue;
    }
    const { table = '', columns = [] } = parsed;
    if (!present.delete(table)) throw new TypeError(`the store has no table "${table}"`);
    const known = columnsOf(db, table as Table);
    if (known.join() !== columns.join())
      throw new TypeError(`table "${table}" has the columns ${known.join(', ')}, not ${columns.join(', ')}`);
    db.exec(`DELETE FROM "${table}"`);
    insert = db.prepare(`INSERT INTO "${table}" VALUES (${columns.map(() => '?').join(', ')})`);
  }
  const [missing] = present;
  if (missing !== undefined) throw new TypeError(`table "${missing}" is missing`);
}

function columnsOf(db: Database.Database, table: Table): readonly string[] {
  return db
    .prepare(`SELECT * FROM "${table}"`)
    .columns()
    .map(({ name }) => name);
}

function presentIn(db: Database.Database): readonly Table[] {
  const found = new Set(prepared(db, "SELECT name FROM sqlite_master WHERE type = 'table'").pluck().all());
  return loggedTables.filter((name) => found.has(name));
}
