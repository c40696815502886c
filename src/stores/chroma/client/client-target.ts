import { SyncAgentError, isSyncAgentError } from '../../../platform/errors.ts';
import type { CollectionDescription, RecordTarget, SourceRecord } from '../../record-source.ts';
import { describe } from '../server/record-source.ts';
import type {
  ChromaClientLike,
  ChromaCollectionLike,
  ChromaRecordsLike,
  ChromaRecordsToSend,
} from './chroma-client.ts';
import { within } from './client-error.ts';

export interface ClientTarget extends RecordTarget {
  /** The one that was given, or found. Undefined before `find` or `create`. */
  collection(): ChromaCollectionLike | undefined;
}

/** One collection, as the user's own client reaches it. A request that is not answered in time is given up. */
export function clientTarget(
  client: ChromaClientLike,
  given: string | ChromaCollectionLike,
  {
    deadlineMs,
    url = "the client's URL",
  }: { readonly deadlineMs: number; readonly url?: string | undefined },
): ClientTarget {
  let known = typeof given === 'string' ? undefined : given;
  const name = typeof given === 'string' ? given : given.name;
  const ask = <T>(action: string, signal: AbortSignal | undefined, request: () => Promise<T>): Promise<T> =>
    within({ ms: deadlineMs, signal }, `${action} of the Chroma server`, request);
  const opened = (): ChromaCollectionLike => {
    if (known !== undefined) return known;
    throw new SyncAgentError('INTERNAL', `Cannot use collection "${name}": it was not opened`);
  };
  const describeIt = async (
    each: ChromaCollectionLike,
    signal: AbortSignal | undefined,
  ): Promise<CollectionDescription> => {
    const first = await ask(`read collection "${name}"`, signal, () =>
      each.get({ limit: 1, include: ['embeddings'] }),
    );
    const text = (value: unknown): string | null => (value == null ? null : JSON.stringify(value));
    return describe({
      id: each.id,
      name: each.name,
      tenant: each.tenant ?? 'default_tenant',
      database: each.database ?? 'default_database',
      dimension: first.embeddings?.[0]?.length ?? null,
      metadata: text(each.metadata),
      configuration: text({ hnsw: each.configuration?.hnsw }),
      schema: null,
    });
  };
  const send = async (
    how: 'add' | 'upsert',
    records: readonly SourceRecord[],
    signal: AbortSignal | undefined,
  ): Promise<void> => {
    for (const group of alike(records))
      await ask(`write records to collection "${name}"`, signal, () => opened()[how](toSend(group)));
  };
  return {
    url,
    // It leaves out what is null.
    removesKeys: false,
    collection: () => known,
    maxBatch: (signal) => ask('ask for the limits', signal, () => client.getMaxBatchSize()),
    find: async (_, signal) => {
      try {
        known ??= await ask(`find collection "${name}"`, signal, () => client.getCollection({ name }));
      } catch (error) {
        if (isSyncAgentError(error, 'NOT_FOUND')) return undefined;
        throw error;
      }
      return describeIt(known, signal);
    },
    create: async (_, __, signal) => {
      known = await ask(`make collection "${name}"`, signal, () =>
        client.createCollection({ name, embeddingFunction: null }),
      );
      return describeIt(known, signal);
    },
    count: (_, signal) => ask(`count collection "${name}"`, signal, () => opened().count()),
    byIds: async (_, ids, signal) =>
      ids.length === 0
        ? []
        : recordsOf(
            await ask(`read records of collection "${name}"`, signal, () =>
              opened().get({ ids: [...ids], include: ['embeddings', 'documents', 'metadatas', 'uris'] }),
            ),
          ),
    add: (_, records, signal) => send('add', records, signal),
    upsert: (_, records, signal) => send('upsert', records, signal),
    remove: async (_, ids, signal) => {
      await ask(`delete records of collection "${name}"`, signal, () => opened().delete({ ids: [...ids] }));
    },
  };
}

/** The client takes documents and uris for all records of a call, or for none. */
function alike(records: readonly SourceRecord[]): readonly (readonly SourceRecord[])[] {
  const groups = new Map<string, SourceRecord[]>();
  for (const each of records) {
    const key = `${each.document === null} ${each.uri === null}`;
    groups.set(key, [...(groups.get(key) ?? []), each]);
  }
  return [...groups.values()];
}

function toSend(records: readonly SourceRecord[]): ChromaRecordsToSend {
  const texts = (part: 'document' | 'uri'): string[] => records.flatMap((each) => each[part] ?? []);
  const [documents, uris] = [texts('document'), texts('uri')];
  return {
    ids: records.map(({ id }) => id),
    embeddings: records.map(({ embedding }) => [...(embedding ?? [])]),
    // Null stands for none. The client's own type does not say so.
    metadatas: records.map(({ metadata }) => metadataToSend(metadata)) as never[],
    ...(documents.length === 0 ? {} : { documents }),
    ...(uris.length === 0 ? {} : { uris }),
  };
}

/** The client refuses an empty object and empty arrays, of which the server keeps nothing. */
function metadataToSend(text: string | null): object | null {
  if (text === null) return null;
  const entries = Object.entries(JSON.parse(text) as object).filter(
    ([, value]) => !Array.isArray(value) || value.length > 0,
  );
  return entries.length === 0 ? null : Object.fromEntries(entries);
}

function recordsOf({
  ids,
  embeddings,
  documents,
  metadatas,
  uris,
}: ChromaRecordsLike): readonly SourceRecord[] {
  return ids.map((id, i) => {
    const [embedding, metadata] = [embeddings?.[i], metadatas?.[i]];
    return {
      id,
      embedding: embedding == null ? null : Float32Array.from(embedding),
      document: documents?.[i] ?? null,
      uri: uris?.[i] ?? null,
      metadata: metadata == null ? null : JSON.stringify(metadata),
    };
  });
}
