import { lstatSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { messageOf, throwIfAborted } from '../../platform/errors.ts';
import { labelOf } from '../../log/manifest.ts';
import { judgeCollections } from './collections.ts';
import { hasPersistedIndex } from './unfinished-indexes.ts';
import { readStoredCollections } from './records/stored-collection.ts';
import { missingTables, readCollections } from './sysdb.ts';
import type { CollectionFacts } from './sysdb.ts';
import { openDatabaseAsItLies } from '../sqlite/crashed-database.ts';
import { checkDatabase } from '../sqlite/sqlite-check.ts';
import { openSqliteImage, sqliteCodeOf } from '../sqlite/sqlite-image.ts';
import type { SqliteImage } from '../sqlite/sqlite-image.ts';
import type { CollectionStatistics, InspectOptions, Problem, StoreReport } from '../adapter.ts';

const databaseName = 'chroma.sqlite3';

/**
 * Judges the image of a Chroma data directory: SQLite by its own checks, each persisted index by its structure, and
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
  const { scratch, databases = [], arrival } = options;
  await arrival?.databases;
  if (scratch !== undefined && !databases.includes(databaseName) && (await isAtItsBeginning(dir)))
    return unreadable([]);
  const image =
    scratch === undefined
      ? openSqliteImage(path, databaseName)
      : openDatabaseAsItLies(path, databaseName, scratch);
  if (typeof image === 'string') return unreadable([damaged('database', image)]);
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

/** Chroma keeps every text in `embedding_metadata`, too (chromadb, migrations/metadb/00001). */
const isDerived = (table: string): boolean => table.startsWith('embedding_fulltext_search');

async function judge(
  { db }: SqliteImage,
  dir: string,
  { level, fullText, arrival, signal }: InspectOptions,
): Promise<StoreReport> {
  const { damage, findings, isFullTextLeft } = checkDatabase(db, {
    label: databaseName,
    level,
    fullText,
    isDerived,
    isMendable: true,
  });
  await arrival?.rest;
  try {
    const missing = missingTables(db);
    if (missing.length > 0) {
      const message = `${databaseName} has no table "${missing.join('", "')}"`;
      return unreadable([...damage, damaged('schema', message)], findings);
    }
    // A damaged index must not hide records that its table still has.
    const readable = findings.some(({ kind }) => kind === 'index')
      ? copyWithoutIndexes(db)
      : { db, remove: () => undefined };
    try {
      const all = await judgeAll(readable.db, dir, signal);
      return {
        ...all,
        damage: [...damage, ...all.damage],
        findings,
        databases: [databaseName],
        isFullTextLeft,
      };
    } finally {
      readable.remove();
    }
  } catch (error) {
    const code = sqliteCodeOf(error);
    if (code === undefined) throw error;
    const cannotRead = damaged('database', `${databaseName} cannot be read: ${messageOf(error)}`);
    return { ...unreadable([...damage, cannotRead], findings), uncounted: namesIn(db) };
  }
}

async function judgeAll(
  db: Database.Database,
  dir: string,
  signal: AbortSignal | undefined,
): Promise<Pick<StoreReport, 'damage' | 'statistics'>> {
  const damage: Problem[] = [];
  const collections: CollectionStatistics[] = [];
  for (const report of judgeCollections(db, dir, collectionsOf(db))) {
    const where = `collection "${report.statistics.name}"`;
    const { id: collection } = report.statistics;
    damage.push(
      ...report.problems.map((message) => ({ kind: 'vector-index' as const, where, message, collection })),
    );
    collections.push(report.statistics);
    await setImmediate();
    throwIfAborted(signal, `Inspecting "${dir}"`);
  }
  const records = collections.reduce((sum, each) => sum + each.records, 0);
  return { damage, statistics: { records, collections } };
}

/** As far as they can be read. */
function namesIn(db: Database.Database): readonly string[] {
  try {
    return readCollections(db).map(({ name }) => labelOf(name));
  } catch (error) {
    if (sqliteCodeOf(error) === undefined) throw error;
    return [];
  }
}

/** With what decides how an index is judged, if that can be read. */
function collectionsOf(db: Database.Database): CollectionFacts[] {
  try {
    return readStoredCollections(db);
  } catch (error) {
    if (sqliteCodeOf(error) === undefined) throw error;
    return readCollections(db);
  }
}

/** What the judgement of collections reads. */
const judgedTables = [
  'tenants',
  'databases',
  'collections',
  'segments',
  'max_seq_id',
  'embeddings',
  'embeddings_queue',
];

/** Those tables with their indexes built anew, in a temporary file. SQLite's own VACUUM INTO copies a broken index, or fails on it. */
function copyWithoutIndexes(db: Database.Database): {
  readonly db: Database.Database;
  readonly remove: () => void;
} {
  const directory = mkdtempSync(join(tmpdir(), 'sync-agent-inspect-'));
  const copy = new Database(join(directory, databaseName));
  const remove = (): void => {
    copy.close();
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    copy.pragma('foreign_keys = off');
    copy.pragma('synchronous = off');
    const schema = db.prepare(
      "SELECT tbl_name, sql FROM sqlite_master WHERE type = 'table' AND sql IS NOT NULL",
    );
    for (const { tbl_name: table, sql } of schema.all() as { tbl_name: string; sql: string }[]) {
      if (judgedTables.includes(table)) copyTable(db, copy, table, sql);
    }
    return { db: copy, remove };
  } catch (error) {
    remove();
    throw error;
  }
}

function copyTable(from: Database.Database, to: Database.Database, table: string, sql: string): void {
  to.exec(sql);
  const rows = from.prepare(`SELECT * FROM "${table}" NOT INDEXED`).raw();
  const insert = to.prepare(
    `INSERT INTO "${table}" VALUES (${rows
      .columns()
      .map(() => '?')
      .join(', ')})`,
  );
  to.transaction(() => {
    for (const row of rows.iterate()) insert.run(row);
  })();
}

const damaged = (kind: Problem['kind'], message: string): Problem => ({ kind, where: databaseName, message });

function unreadable(damage: readonly Problem[], findings: readonly Problem[] = []): StoreReport {
  return { damage, findings, statistics: { records: 0, collections: [] }, databases: [databaseName] };
}
