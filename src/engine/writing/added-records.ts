import type { CollectionDescription, RecordTarget, SourceRecord } from '../../stores/record-source.ts';
import { changedParts, signatureOf } from '../records/record-signature.ts';
import type { RecordSignature } from '../records/record-signature.ts';

/** The records that a run added, to take them away again. */
export interface AddedRecords {
  remember(collection: CollectionDescription, records: readonly SourceRecord[]): void;
  /** Deletes those that are still as they were added: what somebody else changed since is left alone. Resolves to how many. */
  remove(target: RecordTarget, signal?: AbortSignal): Promise<number>;
}

const idsPerRequest = 100;

/** In memory are ids and a signature for each: some 300 bytes. */
export function addedRecords(): AddedRecords {
  const added = new Map<string, RecordSignature>();
  let place: CollectionDescription | undefined;
  return {
    remember: (collection, records) => {
      place = collection;
      for (const record of records) added.set(record.id, signatureOf(record, collection.space === 'cosine'));
    },
    remove: async (target, signal) => {
      const collection = place;
      if (collection === undefined) return 0;
      const ids = [...added.keys()];
      let removed = 0;
      for (let from = 0; from < ids.length; from += idsPerRequest) {
        const there = await target.byIds(collection, ids.slice(from, from + idsPerRequest), signal);
        const ours = there.filter((record) => {
          const signature = added.get(record.id);
          const now = signatureOf(record, collection.space === 'cosine');
          return signature !== undefined && changedParts(signature, now).length === 0;
        });
        if (ours.length === 0) continue;
        await target.remove(
          collection,
          ours.map(({ id }) => id),
          signal,
        );
        removed += ours.length;
      }
      return removed;
    },
  };
}
