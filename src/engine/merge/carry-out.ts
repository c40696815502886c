import { SyncAgentError } from '../../platform/errors.ts';
import type {
  CollectionDescription,
  RecordSource,
  RecordTarget,
  SourceRecord,
} from '../../stores/record-source.ts';
import { enterPhase } from '../context.ts';
import type { Context } from '../context.ts';
import type { NamedRecord } from '../records/send-batch.ts';
import { cosineRounding, differingParts } from '../records/same-record.ts';
import { resumable } from '../records/import-records.ts';
import { sendRecords } from '../records/send-records.ts';
import { nameOf, placeOf } from './match-collections.ts';
import type { MergedCollection } from './merge-result.ts';

/** What one collection gets, and where its records are read. */
export interface CollectionWork {
  readonly merged: MergedCollection;
  readonly source: RecordSource;
  readonly theirs: CollectionDescription;
}

/** Ids that one request names. */
const idsAtOnce = 100;
const shownIds = 20;

/**
 * Writes what was planned, and reads all of it back when all is written. A crash leaves some of it written; another merge finds that and goes
 * on. STORE_CORRUPT, with the ids, if the server does not have it afterwards.
 */
export async function carryOut(
  context: Context,
  target: RecordTarget,
  work: readonly CollectionWork[],
): Promise<void> {
  const { clock, emit, signal } = context;
  enterPhase(context, 'import');
  const total = work.reduce((sum, { merged }) => sum + merged.written.length + merged.deleted.length, 0);
  let done = 0;
  const onSent = (count: number): void => {
    done += count;
    emit({ type: 'progress', phase: 'import', done: Math.min(done, total), total, unit: 'records' });
  };
  onSent(0);
  for (const each of work) {
    const { merged, theirs } = each;
    const records = async function* (): AsyncGenerator<NamedRecord> {
      for await (const record of wanted(each, signal)) yield { record, where: 'of B' };
    };
    await resumable(() =>
      sendRecords(target, placeOf(merged), theirs, records(), {
        overwrite: true,
        signal,
        onSent,
        now: () => clock.monotonic(),
      }),
    );
    const collection = await presentIn(target, merged, signal);
    for (const ids of slices(merged.deleted)) {
      await target.remove(collection, ids, signal);
      onSent(ids.length);
    }
  }
  enterPhase(context, 'verify');
  for (const each of work) await assertWritten(target, each, signal);
}

async function assertWritten(
  target: RecordTarget,
  work: CollectionWork,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { merged } = work;
  const collection = await presentIn(target, merged, signal);
  const rounding = collection.space === 'cosine' ? cosineRounding : 0;
  const wrong: string[] = [];
  const compare = async (batch: readonly SourceRecord[]): Promise<void> => {
    const found = await target.byIds(
      collection,
      batch.map(({ id }) => id),
      signal,
    );
    const byId = new Map(found.map((record) => [record.id, record]));
    for (const record of batch) {
      const back = byId.get(record.id);
      if (back === undefined || differingParts(record, back, rounding).length > 0) wrong.push(record.id);
    }
  };
  let batch: SourceRecord[] = [];
  for await (const record of wanted(work, signal)) {
    batch.push(record);
    if (batch.length < idsAtOnce) continue;
    await compare(batch);
    batch = [];
  }
  if (batch.length > 0) await compare(batch);
  for (const ids of slices(merged.deleted))
    wrong.push(...(await target.byIds(collection, ids, signal)).map(({ id }) => id));
  if (wrong.length === 0) return;
  const shown = wrong.slice(0, shownIds).map((id) => JSON.stringify(id));
  const more = wrong.length - shown.length;
  throw new SyncAgentError(
    'STORE_CORRUPT',
    `Cannot merge into collection ${nameOf(merged)}: the server at "${target.url}" does not give ${wrong.length} records back as they were written: ${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}`,
    { remedy: 'Look whether somebody else writes to the collection, then run it again' },
  );
}

/** The records that are taken from B. */
async function* wanted(
  { merged, source, theirs }: CollectionWork,
  signal: AbortSignal | undefined,
): AsyncGenerator<SourceRecord> {
  if (merged.written.length === 0) return;
  const ids = new Set(merged.written);
  for await (const record of source.records(theirs, signal)) if (ids.has(record.id)) yield record;
}

async function presentIn(
  target: RecordTarget,
  merged: MergedCollection,
  signal: AbortSignal | undefined,
): Promise<CollectionDescription> {
  const found = await target.find(placeOf(merged), signal);
  if (found !== undefined) return found;
  throw new SyncAgentError(
    'NOT_FOUND',
    `Cannot merge into collection ${nameOf(merged)}: the server at "${target.url}" does not have it any more`,
    { remedy: 'Look whether somebody else deleted it, then run it again' },
  );
}

function* slices(ids: readonly string[]): Generator<readonly string[]> {
  for (let from = 0; from < ids.length; from += idsAtOnce) yield ids.slice(from, from + idsAtOnce);
}
