import { isSyncAgentError } from '../../../platform/errors.ts';
import { vectorText } from '../../../platform/json/float32-text.ts';
import type {
  CollectionDescription,
  CollectionPlace,
  RecordTarget,
  SourceRecord,
} from '../../record-source.ts';
import { preflightSchema, parseAnswer, parseCollection } from './answers.ts';
import { asker } from './ask.ts';
import { openChromaServer } from './chroma-server.ts';
import type { ServerAddress } from './chroma-server.ts';
import { creationText } from './creation-text.ts';
import { endpointOf } from './http-call.ts';
import { describe } from './record-source.ts';

/** A server that writes a large index answers late. */
const writeTimeoutMs = 120_000;

export interface ServerTarget extends RecordTarget {
  /** With all its records. */
  removeCollection(place: CollectionPlace, signal?: AbortSignal): Promise<void>;
}

/** The writing side of a running Chroma server. Makes no request before the first call. */
export function openServerTarget(address: ServerAddress): ServerTarget {
  const server = openChromaServer(address);
  const ask = asker(endpointOf(address));
  const post = async (
    path: string,
    action: string,
    body: string,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly text: string; readonly failed: string }> =>
    ask({ method: 'POST', path, action, body, signal, timeoutMs: address.timeoutMs ?? writeTimeoutMs });
  const find = async (
    { tenant, database, name }: CollectionPlace,
    signal: AbortSignal | undefined,
  ): Promise<CollectionDescription | undefined> => {
    try {
      return describe(await server.collection({ tenant, name: database }, name, { signal }));
    } catch (error) {
      if (isSyncAgentError(error, 'NOT_FOUND')) return undefined;
      throw error;
    }
  };
  const makeDatabase = async (
    { tenant, database }: CollectionPlace,
    signal: AbortSignal | undefined,
  ): Promise<void> => {
    try {
      return await server.assertDatabase({ tenant, name: database }, { signal });
    } catch (error) {
      if (!isSyncAgentError(error, 'NOT_FOUND')) throw error;
    }
    try {
      await server.databases([tenant], { signal });
    } catch (error) {
      if (!isSyncAgentError(error, 'NOT_FOUND')) throw error;
      await post('/api/v2/tenants', `make tenant "${tenant}"`, JSON.stringify({ name: tenant }), signal);
    }
    const path = `/api/v2/tenants/${encodeURIComponent(tenant)}/databases`;
    await post(path, `make database "${database}"`, JSON.stringify({ name: database }), signal);
  };
  return {
    url: server.url,
    removesKeys: true,
    maxBatch: async (signal) => {
      await server.heartbeat({ signal });
      const path = '/api/v2/pre-flight-checks';
      const { text, failed } = await ask({ method: 'GET', path, action: 'ask for the limits', signal });
      return parseAnswer(preflightSchema, text, failed).max_batch_size;
    },
    find,
    create: async (place, like, signal) => {
      await makeDatabase(place, signal);
      const path = `${databasePath(place)}/collections`;
      const action = `make collection "${place.name}"`;
      const { text, failed } = await post(path, action, creationText(place.name, like), signal);
      return describe(parseCollection(text, failed));
    },
    count: (collection, signal) => server.count(collection, { signal }),
    byIds: (collection, ids, signal) =>
      server.byIds(collection, ids, { include: ['embeddings', 'documents', 'metadatas', 'uris'], signal }),
    add: async (collection, records, signal) => {
      const path = `${databasePath(collection)}/collections/${collection.id}/add`;
      await post(path, `add records to collection "${collection.name}"`, recordsText(records), signal);
    },
    upsert: async (collection, records, signal) => {
      const path = `${databasePath(collection)}/collections/${collection.id}/upsert`;
      await post(path, `write records to collection "${collection.name}"`, recordsText(records), signal);
    },
    removeCollection: async (place, signal) => {
      const path = `${databasePath(place)}/collections/${encodeURIComponent(place.name)}`;
      await ask({ method: 'DELETE', path, action: `delete collection "${place.name}"`, signal });
    },
    remove: async (collection, ids, signal) => {
      const path = `${databasePath(collection)}/collections/${collection.id}/delete`;
      const action = `delete records of collection "${collection.name}"`;
      await post(path, action, JSON.stringify({ ids }), signal);
    },
  };
}

const databasePath = ({ tenant, database }: Pick<CollectionPlace, 'tenant' | 'database'>): string =>
  `/api/v2/tenants/${encodeURIComponent(tenant)}/databases/${encodeURIComponent(database)}`;

/** The metadata goes in as it is, so that numbers keep their form. */
function recordsText(records: readonly SourceRecord[]): string {
  const list = (part: (record: SourceRecord) => string): string => `[${records.map(part).join(',')}]`;
  return `{${[
    `"ids":${list(({ id }) => JSON.stringify(id))}`,
    `"embeddings":${list(({ embedding }) => (embedding === null ? 'null' : vectorText(embedding)))}`,
    `"documents":${list(({ document }) => JSON.stringify(document))}`,
    `"uris":${list(({ uri }) => JSON.stringify(uri))}`,
    `"metadatas":${list(({ metadata }) => metadata ?? 'null')}`,
  ].join(',')}}`;
}
