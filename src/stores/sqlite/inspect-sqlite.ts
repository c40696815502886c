import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type Database from 'better-sqlite3';
import { throwIfAborted } from '../../platform/errors.ts';
import { openDatabaseAsItLies } from './crashed-database.ts';
import { scanStore } from '../content/scan.ts';
import { checkDatabase } from './sqlite-check.ts';
import { openSqliteImage, sqliteCodeOf } from './sqlite-image.ts';
import type { InspectOptions, Problem, StoreReport } from '../adapter.ts';

/** The first 16 bytes of every database that is not empty (sqlite.org/fileformat2.html, 1.3). */
const magic = Buffer.from('SQLite format 3\0', 'latin1');

/**
 * Whether a file is a SQLite database, by its first bytes; an empty file is none yet. Opens the file, and closing
 * it drops every POSIX lock this process holds on it: never ask while a connection here holds one.
 */
export async function isSqliteFile(path: string): Promise<boolean> {
  const file = await open(path, 'r');
  try {
    const start = Buffer.alloc(magic.length);
    const { bytesRead } = await file.read(start, 0, start.length, 0);
    return bytesRead === magic.length && start.equals(magic);
  } finally {
    await file.close();
  }
}

/** Names that SQLite databases go by. */
export const databaseName = /\.(db3?|sqlite3?|s3db|sl3)$/i;

/**
 * Judges every SQLite database below `dir` by SQLite's own checks; counts the rows of ordinary tables. Which of several is
 * the one that the application needs, nobody here can tell: see `soundnessOf` in the engine.
 */
export async function inspectSqlite(dir: string, options: InspectOptions): Promise<StoreReport> {
  const { level, signal, scratch, exclude } = options;
  const known = new Set(options.databases);
  const damage: Problem[] = [];
  const findings: Problem[] = [];
  const databases: string[] = [];
  let records = 0;
  for (const { path, size } of (await scanStore(dir, exclude)).files) {
    throwIfAborted(signal, `Inspecting "${dir}"`);
    if (!(await isSqliteFile(join(dir, path)))) {
      if (!known.has(path)) continue;
      const message = `${path} is ${size === 0 ? 'empty' : 'no SQLite database any more'}`;
      damage.push({ kind: 'database', where: path, message });
      databases.push(path);
      continue;
    }
    databases.push(path);
    const image =
      scratch === undefined
        ? openSqliteImage(join(dir, path), path)
        : openDatabaseAsItLies(join(dir, path), path, scratch);
    if (typeof image === 'string') {
      damage.push({ kind: 'database', where: path, message: image });
      continue;
    }
    try {
      const verdict = checkDatabase(image.db, { label: path, level });
      damage.push(...verdict.damage);
      findings.push(...verdict.findings);
      if (verdict.damage.length === 0) records += countRows(image.db);
    } finally {
      image.close();
    }
  }
  if (databases.length === 0 && damage.length === 0) {
    for (const path of known) damage.push({ kind: 'database', where: path, message: `${path} is missing` });
  }
  return { damage, findings, statistics: { records }, databases };
}

/**
 * Rows of all tables, leaving out SQLite's own, virtual tables and the tables these keep their data in. A table that plain
 * SQLite cannot read counts nothing.
 */
function countRows(db: Database.Database): number {
  const names = db.prepare("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"); // prettier-ignore
  return (names.pluck().all() as string[]).reduce((sum, name) => sum + countOf(db, name), 0);
}

function countOf(db: Database.Database, table: string): number {
  try {
    return Number(
      db
        .prepare(`SELECT count(*) FROM "${table.replaceAll('"', '""')}"`)
        .pluck()
        .get(),
    );
  } catch (error) {
    if (sqliteCodeOf(error) === undefined) throw error;
    return 0;
  }
}
