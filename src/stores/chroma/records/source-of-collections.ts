import { setImmediate } from 'node:timers/promises';
import type Database from 'better-sqlite3';
import { throwIfAborted } from '../../../platform/errors.ts';
import type { RecordSource, SourceRecord } from '../../record-source.ts';
import type { StoredCollection } from './stored-collection.ts';

/** The event loop gets a turn after so many records. */
const recordsPerTurn = 64;

export interface CollectionsWork {
  /** For messages. */
  readonly dir: string;
  readonly db: Database.Database;
  readonly collections: readonly StoredCollection[];
  /** The records of one of them, in calls that block. */
  readonly read: (collection: StoredCollection) => Iterable<SourceRecord>;
  readonly close: () => void;
}

/** Gives out the records of collections that are read from a database. */
export function sourceOfCollections({ dir, db, collections, read, close }: CollectionsWork): RecordSource {
  const find = (id: string): StoredCollection => {
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
      for (const record of read(find(id))) {
        yield record;
        number += 1;
        if (number % recordsPerTurn !== 0) continue;
        throwIfAborted(signal, `Reading the records of "${dir}"`);
        await setImmediate();
      }
    },
    close,
  };
}
