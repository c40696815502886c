import { statSync } from 'node:fs';
import { join } from 'node:path';
import { SyncAgentError, messageOf, throwIfAborted } from '../../../platform/errors.ts';
import { openDatabaseAsItLies } from '../../sqlite/crashed-database.ts';
import { sqliteCodeOf } from '../../sqlite/sqlite-image.ts';
import type { DescribeOptions, StoreDescription } from '../../reading.ts';
import { readStoredCollections } from '../records/stored-collection.ts';
import { oldestRelease, readSchemaVersion } from '../schema-version.ts';
import { missingTables } from '../sysdb.ts';
import { describeCollections } from './collections.ts';
import { describeDatabase, describeFullText, describeQueue } from './database-facts.ts';
import { indexFolders } from './index-folders.ts';

const databaseName = 'chroma.sqlite3';

/** Reads the database once, for the sizes of its tables, and of the indexes only their headers. */
export async function describeChroma(
  dir: string,
  { scratch, signal }: DescribeOptions,
): Promise<StoreDescription> {
  const path = join(dir, databaseName);
  const image = openDatabaseAsItLies(path, databaseName, scratch);
  if (typeof image === 'string') throw unreadable(dir, image);
  const { db } = image;
  try {
    const missing = missingTables(db);
    if (missing.length > 0) throw unreadable(dir, `${databaseName} has no table "${missing.join('", "')}"`);
    const migrations = readSchemaVersion(db);
    const stored = readStoredCollections(db);
    const folders = await indexFolders(dir);
    throwIfAborted(signal, `Inspecting "${dir}"`);
    const collections = describeCollections(db, dir, { stored, folders });
    const owned = new Set(stored.map(({ vectorSegment }) => vectorSegment?.id));
    return {
      schema: {
        migrations: migrations ?? null,
        opensWith: (migrations && oldestRelease(migrations)) ?? null,
      },
      database: { path: databaseName, bytes: statSync(path).size, ...describeDatabase(db) },
      databases: groupsOf(collections),
      collections,
      queue: describeQueue(db),
      fullText: describeFullText(db),
      orphans: [...folders].filter(([id]) => !owned.has(id)).map(([id, bytes]) => ({ path: id, bytes })),
    };
  } catch (error) {
    if (sqliteCodeOf(error) === undefined) throw error;
    throw unreadable(dir, `${databaseName} cannot be read: ${messageOf(error)}`, error);
  } finally {
    image.close();
  }
}

function groupsOf(collections: StoreDescription['collections']): StoreDescription['databases'] {
  const counts = new Map<string, { tenant: string; name: string; collections: number }>();
  for (const { tenant, database } of collections) {
    const key = JSON.stringify([tenant, database]);
    const group = counts.get(key) ?? { tenant, name: database, collections: 0 };
    counts.set(key, { ...group, collections: group.collections + 1 });
  }
  return [...counts.values()];
}

function unreadable(dir: string, why: string, cause?: unknown): SyncAgentError {
  return new SyncAgentError('STORE_CORRUPT', `Cannot inspect "${dir}": ${why}`, {
    remedy: '"sync-agent check" names all that is wrong, and what mends it',
    ...(cause === undefined ? {} : { cause }),
  });
}
