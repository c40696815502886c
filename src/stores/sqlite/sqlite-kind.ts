import { scanStore } from '../content/scan.ts';
import type { StoreKind } from '../store-kind.ts';
import { databaseName, sqliteFiles } from './sqlite-file.ts';

/** Any SQLite databases in a directory, in rollback or WAL mode, and whatever files lie beside them. */
export const sqliteKind = {
  name: 'sqlite',
  detect: async (dir, exclude) => (await sqliteFiles(dir, await scanStore(dir, exclude))).length > 0,
  inspect: async (dir, options) => (await import('./inspect-sqlite.ts')).inspectSqlite(dir, options),
  inspectBlocks: true,
  findDatabases: sqliteFiles,
  databasesAmong: (paths) => paths.filter((path) => databaseName.test(path)),
  needsDatabase: true,
  habits: { matches: (names) => names.some((name) => /\.(sqlite3?|db)$/i.test(name)) },
} as const satisfies StoreKind;
