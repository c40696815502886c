import type Database from 'better-sqlite3';
import { damaged } from '../index/byte-reader.ts';
import { vectorsOf } from './collection-vectors.ts';
import { readRecordTexts } from './metadata-rows.ts';
import type { StoredCollection } from './stored-collection.ts';
import { makeRecord } from './stored-record.ts';
import type { StoredRecord } from './stored-record.ts';

/**
 * Every record of a collection of a sound store in `dir`, as a server would answer it, without one: its metadata segment and its index, each
 * after the operations of the queue that it has not applied yet. Blocks between two records; memory does not grow with
 * vectors and documents. STORE_CORRUPT for a damaged index, and for a record that has no vector.
 */
export function* readRecords(
  db: Database.Database,
  dir: string,
  collection: StoredCollection,
): Generator<StoredRecord> {
  const vectors = vectorsOf(db, dir, collection, { isSalvage: false });
  try {
    for (const record of readRecordTexts(db, collection)) {
      const { vector } = vectors.vectorOf(record.id);
      if (vector === null)
        throw damaged(`Collection "${collection.name}": record ${JSON.stringify(record.id)} has no vector`);
      yield makeRecord(record.id, vector, record);
    }
  } finally {
    vectors.close();
  }
}
