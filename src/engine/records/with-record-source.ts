import { SyncAgentError, isSyncAgentError } from '../../platform/errors.ts';
import type { RecordLoss, RecordSource } from '../../stores/record-source.ts';
import { enterPhase } from '../context.ts';
import type { Context } from '../context.ts';
import { withStoreSource } from '../reading/store-source.ts';
import type { SourceName, StoreSource } from '../reading/store-source.ts';

export interface Salvage {
  readonly onLoss: (loss: RecordLoss) => void;
}

export interface ReadOptions {
  readonly salvage: Salvage | undefined;
  /** Of a running server, which does not list its tenants. */
  readonly tenant?: string | undefined;
  /** Of a snapshot that is named, as in `AsideOptions`. */
  readonly log?: 'of-tip' | undefined;
}

/** Opens the records that a call is about. Who calls the engine knows where they are. */
export type ReadRecords = <R>(
  options: ReadOptions,
  use: (source: RecordSource, from: string) => Promise<R>,
) => Promise<R>;

/**
 * Lets `work` read the records of a store, or of a snapshot. `from` names it for people. A store that is not sound is STORE_CORRUPT,
 * unless it is salvaged. USAGE for a kind of store that has no records.
 */
export async function withRecordSource<T>(
  context: Context,
  name: SourceName,
  salvage: Salvage | undefined,
  work: (source: RecordSource, from: string, store: StoreSource) => Promise<T>,
): Promise<T> {
  return withStoreSource(context, name, async (store) => {
    const { adapter, scratch, known } = store;
    const from =
      name.type === 'store'
        ? context.home.store
        : `snapshot ${known?.id ?? name.snapshot ?? 'latest'}${logText(store)}`;
    if (adapter.openRecords === undefined) {
      throw new SyncAgentError(
        'USAGE',
        `Cannot read records of "${from}": it is a store of the kind "${adapter.name}"`,
        {
          remedy: 'Records are read of Chroma directories; --adapter chroma names one that is not recognised',
        },
      );
    }
    try {
      if (salvage === undefined) await assertSound(context, store, from);
      const source = await adapter.openRecords(store.dir, {
        scratch,
        onLoss: salvage?.onLoss,
        onNotice: (message) => context.emit({ type: 'warning', code: 'NOTICE', message }),
      });
      try {
        return await work(source, from, store);
      } finally {
        source.close();
      }
    } catch (error) {
      if (!isSyncAgentError(error, 'STORE_CORRUPT') || error.remedy !== undefined) throw error;
      throw notSound(from, error.message, error);
    }
  });
}

/** Only a log that adds something is worth a word. */
const logText = ({ log }: StoreSource): string =>
  log?.until === undefined ? '' : ` with its log until ${log.until}`;

/** An image may have been taken at a bad moment: then it is taken again, once. */
async function assertSound(context: Context, store: StoreSource, from: string): Promise<void> {
  enterPhase(context, 'validate');
  const judge = async (): Promise<string | undefined> => {
    const { damage } = await store.adapter.inspect(store.dir, {
      level: 'proven',
      scratch: store.scratch,
      signal: context.signal,
    });
    return damage[0]?.message;
  };
  let damage = await judge();
  if (damage !== undefined && store.retake !== undefined) {
    await store.retake();
    damage = await judge();
  }
  if (damage !== undefined) throw notSound(from, damage);
}

function notSound(from: string, why: string, cause?: unknown): SyncAgentError {
  return new SyncAgentError('STORE_CORRUPT', `Cannot read all records of "${from}": ${why}`, {
    remedy:
      'Run "sync-agent export --salvage --to ./saved": it saves what can be read, and names what is lost',
    ...(cause === undefined ? {} : { cause }),
  });
}
