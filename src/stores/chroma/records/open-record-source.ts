import { join } from 'node:path';
import { SyncAgentError } from '../../../platform/errors.ts';
import { openDatabaseAsItLies } from '../../sqlite/crashed-database.ts';
import type { SqliteImage } from '../../sqlite/sqlite-image.ts';
import type { RecordSource, RecordSourceOptions } from '../../record-source.ts';
import { missingTables } from '../sysdb.ts';
import { readRecords } from './read-records.ts';
import { salvageSource } from './salvage/salvage-source.ts';
import { sourceOfCollections } from './source-of-collections.ts';
import { readStoredCollections } from './stored-collection.ts';

const databaseName = 'chroma.sqlite3';

/** The records of a sound Chroma directory that nobody writes. Never changes a byte of it. */
export function openRecordSource(dir: string, options: RecordSourceOptions): RecordSource {
  if (options.onLoss !== undefined) return salvageSource(dir, options);
  const { scratch } = options;
  const image = openSoundDatabase(dir, scratch);
  const { db } = image;
  return sourceOfCollections({
    dir,
    db,
    collections: readStoredCollections(db),
    read: (collection) => readRecords(db, dir, collection),
    close: () => image.close(),
  });
}

function openSoundDatabase(dir: string, scratch: string): SqliteImage {
  const image = openDatabaseAsItLies(join(dir, databaseName), databaseName, scratch);
  if (typeof image === 'string') throw unreadable(dir, image);
  const missing = missingTables(image.db);
  if (missing.length === 0) return image;
  image.close();
  throw unreadable(dir, `${databaseName} has no table "${missing.join('", "')}"`);
}

function unreadable(dir: string, why: string): SyncAgentError {
  return new SyncAgentError('STORE_CORRUPT', `Cannot read the records of "${dir}": ${why}`);
}
