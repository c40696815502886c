import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { SyncAgentError, throwIfAborted } from '../../../platform/errors.ts';
import { openDatabaseAsItLies } from '../../sqlite/crashed-database.ts';
import type { SqliteImage } from '../../sqlite/sqlite-image.ts';
import type { RecordSource, RecordSourceOptions } from '../../record-source.ts';
import { missingTables } from '../sysdb.ts';
import { readRecords } from './read-records.ts';
import { salvageSource } from './salvage/salvage-source.ts';
import { readStoredCollections } from './stored-collection.ts';

const databaseName = 'chroma.sqlite3';
/** Reading one record blocks for so short a time that it is not worth a pause after each. */
const recordsPerTurn = 64;

/** The records of a sound Chroma directory that nobody writes. Never changes a byte of it. */
export function openRecordSource(dir: string, options: RecordSourceOptions): RecordSource {
  if (options.onLoss !== undefined) return salvageSource(dir, options);
  const { scratch } = options;
  const image = openSoundDatabase(dir, scratch);
  const { db } = image;
  const collections = readStoredCollections(db);
  const find = (id: string): (typeof collections)[number] => {
    const found = collections.find((each) => each.id === id);
    if (found === undefined) throw new TypeError(`no collection ${id}`);
    return found;
  };
  const count = db.prepare('SELECT count(*) FROM embeddings WHERE segment_id = ?').pluck();
  return {
    collections,
    count: async ({ id }) => Number(count.get(find(id).metadataSegment?.id ?? '')),
    records: async function* ({ id }, signal) {
      let number = 0;
      for (const record of readRecords(db, dir, find(id))) {
        yield record;
        number += 1;
        if (number % recordsPerTurn !== 0) continue;
        throwIfAborted(signal, `Reading the records of "${dir}"`);
        await setImmediate();
      }
    },
    close: () => image.close(),
  };
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
