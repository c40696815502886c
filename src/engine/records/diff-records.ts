import { enterPhase } from '../context.ts';
import type { Context } from '../context.ts';
import type { CollectionDescription, CollectionPlace } from '../../stores/record-source.ts';
import { chooseCollections } from './choose-collections.ts';
import type { CollectionChoice } from './choose-collections.ts';
import { changedParts, signatureOf } from './record-signature.ts';
import type { RecordSignature } from './record-signature.ts';
import type { RecordPart } from './same-record.ts';
import type { ReadRecords } from './with-record-source.ts';

export interface RecordsDiff {
  /** What was compared, for people. */
  readonly from: string;
  readonly to: string;
  /** Only those that differ. */
  readonly collections: readonly CollectionDiff[];
}

export interface CollectionDiff extends CollectionPlace {
  /** `added` and `removed`: the whole collection is on one side only. */
  readonly change: 'added' | 'removed' | 'changed';
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly { readonly id: string; readonly parts: readonly RecordPart[] }[];
}

interface Side {
  readonly name: string;
  readonly collections: ReadonlyMap<string, { readonly place: CollectionPlace; readonly records: Records }>;
}
type Records = ReadonlyMap<string, RecordSignature>;

/** Which records were added, removed and changed. In memory are the ids and a signature for each, not the records. */
export async function diffRecords(
  context: Context,
  readFrom: ReadRecords,
  readTo: ReadRecords,
  choice: CollectionChoice,
): Promise<RecordsDiff> {
  const [older, newer] = [await readSide(context, readFrom, choice), await readSide(context, readTo, choice)];
  const keys = [...new Set([...older.collections.keys(), ...newer.collections.keys()])].toSorted();
  const collections = keys.flatMap((key): readonly CollectionDiff[] => {
    const [a, b] = [older.collections.get(key), newer.collections.get(key)];
    const place = (a ?? b)?.place;
    if (place === undefined) return [];
    const [before, after]: [Records, Records] = [a?.records ?? new Map(), b?.records ?? new Map()];
    const added = [...after.keys()].filter((id) => !before.has(id));
    const removed = [...before.keys()].filter((id) => !after.has(id));
    const changed = [...after].flatMap(([id, signature]) => {
      const other = before.get(id);
      const parts = other === undefined ? [] : changedParts(other, signature);
      return parts.length === 0 ? [] : [{ id, parts }];
    });
    const change = a === undefined ? 'added' : b === undefined ? 'removed' : 'changed';
    const isSame = change === 'changed' && added.length + removed.length + changed.length === 0;
    return isSame ? [] : [{ ...place, change, added, removed, changed }];
  });
  return { from: older.name, to: newer.name, collections };
}

function readSide(context: Context, read: ReadRecords, choice: CollectionChoice): Promise<Side> {
  return read({ salvage: undefined, tenant: choice.tenant, log: 'of-tip' }, async (source, name) => {
    const chosen = chooseSome(source.collections, choice);
    enterPhase(context, 'verify');
    const collections = new Map<string, { readonly place: CollectionPlace; readonly records: Records }>();
    for (const each of chosen) {
      const records = new Map<string, RecordSignature>();
      for await (const record of source.records(each, context.signal))
        records.set(record.id, signatureOf(record, each.space === 'cosine'));
      const place = { tenant: each.tenant, database: each.database, name: each.name };
      collections.set(JSON.stringify(place), { place, records });
    }
    return { name, collections };
  });
}

/** A collection that was made or deleted in between is on one side only, which is no error. */
function chooseSome(
  all: readonly CollectionDescription[],
  { collections: names = [], ...rest }: CollectionChoice,
): readonly CollectionDescription[] {
  const there = chooseCollections(all, rest, '');
  return names.length === 0 ? there : there.filter(({ name }) => names.includes(name));
}
