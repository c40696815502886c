import { SyncAgentError } from '../../platform/errors.ts';
import type { RecordTarget } from '../../stores/record-source.ts';
import type { Context } from '../context.ts';
import { enterPhase } from '../context.ts';
import { chooseOne } from './choose-collections.ts';
import { resumable } from './import-records.ts';
import type { NamedRecord } from './send-batch.ts';
import { sendRecords } from './send-records.ts';
import type { SendOptions, SentCollection } from './send-records.ts';
import type { ReadRecords } from './with-record-source.ts';

export interface RestoreCollectionOptions extends SendOptions {
  /** Under another name. */
  readonly as?: string | undefined;
  /** Of the collection, in the source and in the server. Needed if several databases have one of that name. */
  readonly database?: string | undefined;
  readonly tenant?: string | undefined;
}

export interface RestoreCollectionResult extends SentCollection {
  /** What the records were read of, for people. */
  readonly from: string;
}

/** Takes one collection out of what `read` opens and puts it into a running server. No other collection is touched. */
export async function restoreCollection(
  context: Context,
  read: ReadRecords,
  name: string,
  target: RecordTarget,
  { as, database, tenant, ...options }: RestoreCollectionOptions,
): Promise<RestoreCollectionResult> {
  if (name === '') throw new SyncAgentError('USAGE', 'Cannot restore a collection without a name');
  const { clock, emit, signal } = context;
  // Before a snapshot is downloaded.
  await target.maxBatch(signal);
  return read({ salvage: undefined, tenant }, async (source, from) => {
    const collection = chooseOne(source.collections, { name, database, tenant }, from);
    enterPhase(context, 'import');
    const total = await source.count(collection);
    let done = 0;
    const onSent = (count: number): void => {
      done += count;
      emit({ type: 'progress', phase: 'import', done: Math.min(done, total), total, unit: 'records' });
    };
    onSent(0);
    const records = async function* (): AsyncGenerator<NamedRecord> {
      for await (const record of source.records(collection, signal)) yield { record, where: `of "${from}"` };
    };
    const place = { tenant: collection.tenant, database: collection.database, name: as ?? name };
    const sent = await resumable(() =>
      sendRecords(target, place, collection, records(), {
        ...options,
        signal,
        onSent,
        now: () => clock.monotonic(),
      }),
    );
    return { ...sent, from };
  });
}
