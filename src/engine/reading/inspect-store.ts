import { SyncAgentError } from '../../platform/errors.ts';
import type { StoreDescription } from '../../stores/reading.ts';
import type { Context } from '../context.ts';
import { withStoreSource } from './store-source.ts';
import type { SourceName, StoreSource } from './store-source.ts';

export interface InspectReport extends StoreDescription {
  readonly store: string;
  /** Its id, if a snapshot was inspected. */
  readonly snapshot: string | null;
  /** The kind of store: `chroma`. */
  readonly kind: string;
  /** `image`: it is in use, so a copy of it was read. */
  readonly source: StoreSource['kind'];
}

/** Says what is in a store or a snapshot. Changes nothing, and judges nothing. USAGE for a kind of store that tells nothing. */
export async function inspectStore(context: Context, name: SourceName): Promise<InspectReport> {
  return withStoreSource(context, name, async ({ adapter, dir, kind, known, scratch }) => {
    if (adapter.reading === undefined) {
      throw new SyncAgentError(
        'USAGE',
        `Cannot inspect "${context.home.store}": it is a store of the kind "${adapter.name}"`,
        { remedy: 'Only Chroma stores can be inspected. "sync-agent check" judges any store' },
      );
    }
    return {
      store: context.home.store,
      snapshot: name.type === 'snapshot' ? (known?.id ?? null) : null,
      kind: adapter.name,
      source: kind,
      ...(await adapter.reading.describe(dir, { scratch, signal: context.signal })),
    };
  });
}
