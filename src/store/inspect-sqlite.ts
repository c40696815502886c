import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type Database from 'better-sqlite3';
import { throwIfAborted } from '../errors.ts';
import { openDatabaseAsItLies } from './crashed-database.ts';
import { scanStore } from './scan.ts';
import { checkSqlite, openSqliteImage, sqliteProblems } from './sqlite-image.ts';
import type { InspectOptions, StoreReport } from './store-adapter.ts';

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

/** Judges every SQLite database below `dir` by SQLite's own check; counts the rows of ordinary tables. */
export async function inspectSqlite(dir: string, options: InspectOptions): Promise<StoreReport> {
  const { level, signal, scratch } = options;
  const problems: string[] = [];
  const databases: string[] = [];
  const known = new Set(options.databases);
  let records = 0;
  const { files } = await scanStore(dir);
  for (const { path, size } of files) {
    throwIfAborted(signal, `Inspecting "${dir}"`);
    if (!(await isSqliteFile(join(dir, path)))) {
      if (known.has(path))
        problems.push(size === 0 ? `${path} is empty` : `${path} is no SQLite database any more`);
      continue;
    }
    databases.push(path);
    const image =
      scratch === undefined
        ? openSqliteImage(join(dir, path), path)
        : openDatabaseAsItLies(join(dir, path), path, scratch);
    if (typeof image === 'string') {
      problems.push(image);
      continue;
    }
    try {
      problems.push(...sqliteProblems(path, () => checkSqlite(image.db, path, level)));
      problems.push(...sqliteProblems(path, () => ((records += countRows(image.db)), [])));
    } finally {
      image.close();
    }
  }
  if (databases.length === 0 && problems.length === 0)
    problems.push(...[...known].map((path) => `${path} is missing`));
  return { problems, statistics: { records }, databases };
}

/** Rows of all tables, leaving out SQLite's own, virtual tables and the tables these keep their data in. */
function countRows(db: Database.Database): number {
  const names = db.prepare("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"); // prettier-ignore
  return (names.pluck().all() as string[]).reduce((sum, name) => {
    const count = db
      .prepare(`SELECT count(*) FROM "${name.replaceAll('"', '""')}"`)
      .pluck()
      .get();
    return sum + Number(count);
  }, 0);
}
