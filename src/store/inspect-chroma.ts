import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { throwIfAborted } from '../errors.ts';
import { judgeCollections } from './chroma/collections.ts';
import { hasPersistedIndex } from './chroma/index-rest.ts';
import { missingTables, readCollections } from './chroma/sysdb.ts';
import { openDatabaseAsItLies } from './crashed-database.ts';
import { checkSqlite, openSqliteImage, sqliteCodeOf } from './sqlite-image.ts';
import type { SqliteImage } from './sqlite-image.ts';
import type { CollectionStatistics, InspectOptions, StoreReport } from './store-adapter.ts';

const databaseName = 'chroma.sqlite3';

/**
 * Judges the image of a Chroma data directory: SQLite by its own check, each persisted index by its structure, and
 * both against each other. That is what tells a mixed copy, where every file is sound by itself and the server
 * loses records or crashes. Folders that belong to no collection are not looked at: Chroma leaves those of deleted
 * collections behind.
 *
 * Reads every file once, in pieces: memory is a few MB, plus 1 byte and a few bits per record (5 bytes in
 * Python-era directories) and about 100 bytes per pending operation of up to 100,000. What cannot be told: an
 * index of another time whose ids are the same and whose last persisted vector was not changed since.
 */
export async function inspectChroma(dir: string, options: InspectOptions): Promise<StoreReport> {
  const path = join(dir, databaseName);
  const { scratch, databases = [] } = options;
  if (scratch !== undefined && !databases.includes(databaseName) && (await isAtItsBeginning(dir)))
    return emptyReport([]);
  const image =
    scratch === undefined
      ? openSqliteImage(path, databaseName)
      : openDatabaseAsItLies(path, databaseName, scratch);
  if (typeof image === 'string') return emptyReport([image]);
  try {
    return await judge(image, dir, options);
  } finally {
    image.close();
  }
}

/** Whether nobody can say that there ever was a record: no database yet, or an empty file, and no persisted index. */
async function isAtItsBeginning(dir: string): Promise<boolean> {
  const stats = lstatSync(join(dir, databaseName), { throwIfNoEntry: false });
  return (stats === undefined || stats.size === 0) && !(await hasPersistedIndex(dir));
}

async function judge(
  { db }: SqliteImage,
  dir: string,
  { level, signal }: InspectOptions,
): Promise<StoreReport> {
  const problems: string[] = [];
  const collections: CollectionStatistics[] = [];
  try {
    problems.push(...checkSqlite(db, databaseName, level));
    const missing = missingTables(db);
    if (missing.length > 0)
      return emptyReport([...problems, `${databaseName} has no table "${missing.join('", "')}"`]);
    for (const report of judgeCollections(db, dir, readCollections(db))) {
      problems.push(...report.problems);
      collections.push(report.statistics);
      await setImmediate();
      throwIfAborted(signal, `Inspecting "${dir}"`);
    }
  } catch (error) {
    const code = sqliteCodeOf(error);
    if (code === undefined) throw error;
    problems.push(`${databaseName} cannot be read: ${(error as Error).message}`);
  }
  return {
    problems,
    statistics: { records: collections.reduce((sum, each) => sum + each.records, 0), collections },
    databases: [databaseName],
  };
}

function emptyReport(problems: readonly string[]): StoreReport {
  return { problems, statistics: { records: 0, collections: [] } };
}
