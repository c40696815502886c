import { join } from 'node:path';
import type Database from 'better-sqlite3';
import { throwIfAborted } from '../../platform/errors.ts';
import { openDatabaseAsItLies } from './crashed-database.ts';
import { scanStore } from '../content/scan.ts';
import { checkDatabase } from './sqlite-check.ts';
import { isSqliteFile } from './sqlite-file.ts';
import { openSqliteImage, sqliteCodeOf } from './sqlite-image.ts';
import type { InspectOptions, Problem, StoreReport } from '../adapter.ts';

/**
 * Judges every SQLite database below `dir` by SQLite's own checks; counts the rows of ordinary tables. Which of several is
 * the one that the application needs, nobody here can tell: see `soundnessOf` in the engine.
 */
export async function inspectSqlite(dir: string, options: InspectOptions): Promise<StoreReport> {
  const { level, fullText, signal, scratch, exclude } = options;
  const known = new Set(options.databases);
  const damage: Problem[] = [];
  const findings: Problem[] = [];
  const databases: string[] = [];
  let records = 0;
  let isFullTextLeft = false;
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
      const verdict = checkDatabase(image.db, { label: path, level, fullText });
      isFullTextLeft ||= verdict.isFullTextLeft;
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
  return { damage, findings, statistics: { records }, databases, isFullTextLeft };
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
