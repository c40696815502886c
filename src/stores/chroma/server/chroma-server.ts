import type * as z from 'zod';
import { SyncAgentError, isSyncAgentError } from '../../../platform/errors.ts';
import {
  countSchema,
  databasesSchema,
  heartbeatSchema,
  hitsSchema,
  nameSchema,
  parseAnswer,
  parseCollection,
  parseCollections,
  parseRecords,
  versionSchema,
} from './answers.ts';
import type { IncludedPart, ServerCollection, ServerRecord } from './answers.ts';
import { asker } from './ask.ts';
import { call, endpointOf } from './http-call.ts';
import type { Endpoint, ServerAddress } from './http-call.ts';

export type { ServerAddress } from './http-call.ts';
export type { IncludedPart, ServerCollection, ServerRecord } from './answers.ts';

export const defaultTenant = 'default_tenant';
export const defaultDatabase = 'default_database';

export interface ServerDatabase {
  readonly tenant: string;
  readonly name: string;
}

export interface ServerCallOptions {
  readonly signal?: AbortSignal | undefined;
  /** Instead of the address's, milliseconds. */
  readonly timeoutMs?: number | undefined;
}

export interface GetOptions extends ServerCallOptions {
  readonly include: readonly IncludedPart[];
}

/** Which collection a call is about: its place, and its id. */
export type CollectionPlace = Pick<ServerCollection, 'id' | 'name' | 'tenant' | 'database'>;

/**
 * The reading side of a running Chroma server, by its API v2. Every call is one request or, for lists, one for each page. Rejects with
 * REMOTE_UNREACHABLE if there is no server or no answer in time, and also when the server itself fails (5xx), which it does for damaged
 * collections; NOT_FOUND; DENIED; UNSUPPORTED for what is no server of a known version; USAGE for what it refuses (4xx).
 */
export interface ChromaServer {
  /** Its URL, for people: without credentials. */
  readonly url: string;
  /**
   * Asks for a heartbeat, and finds out whether it speaks API v2: UNSUPPORTED with its version if not. Resolves to the time of the server's
   * clock, milliseconds since the epoch.
   */
  heartbeat(options?: ServerCallOptions): Promise<number>;
  /** As the server calls itself; servers of 1.x all say `1.0.0`. */
  version(options?: ServerCallOptions): Promise<string>;
  /**
   * All databases of these tenants; no server lists its tenants. Default: the default tenant. Of servers before 1.0, which do
   * not list them either, the default database. NOT_FOUND for a tenant that does not exist.
   */
  databases(tenants?: readonly string[], options?: ServerCallOptions): Promise<readonly ServerDatabase[]>;
  /** NOT_FOUND if there is no such database. */
  assertDatabase(database: ServerDatabase, options?: ServerCallOptions): Promise<void>;
  collections(database: ServerDatabase, options?: ServerCallOptions): AsyncGenerator<ServerCollection>;
  collection(database: ServerDatabase, name: string, options?: ServerCallOptions): Promise<ServerCollection>;
  count(collection: CollectionPlace, options?: ServerCallOptions): Promise<number>;
  /** One page, in the server's order. Records that are added or deleted meanwhile move the pages: `byIds` does not miss one. */
  page(
    collection: CollectionPlace,
    range: { readonly offset: number; readonly limit: number },
    options: GetOptions,
  ): Promise<readonly ServerRecord[]>;
  /** The records that have these ids, in the server's order. Those that do not exist are left out. */
  byIds(
    collection: CollectionPlace,
    ids: readonly string[],
    options: GetOptions,
  ): Promise<readonly ServerRecord[]>;
  /** The ids of the nearest records. USAGE for a vector of another dimension. */
  query(
    collection: CollectionPlace,
    vector: Float32Array,
    limit: number,
    options?: ServerCallOptions,
  ): Promise<readonly string[]>;
}

const pageOfCollections = 100;
const pageOfDatabases = 1000;

/** Makes no request before the first call. USAGE for an unusable URL. */
export function openChromaServer(address: ServerAddress): ChromaServer {
  const endpoint = endpointOf(address);
  const ask = asker(endpoint);
  const get = async <T>(
    path: string,
    action: string,
    schema: z.ZodType<T>,
    options: ServerCallOptions = {},
  ): Promise<T> => {
    const { text, failed } = await ask({ method: 'GET', path, action, ...options });
    return parseAnswer(schema, text, failed);
  };
  const getRecords = async (
    collection: CollectionPlace,
    { include, ...options }: GetOptions,
    body: object,
  ): Promise<readonly ServerRecord[]> => {
    const { text, failed } = await ask({
      method: 'POST',
      path: `${pathOf(collection)}/get`,
      action: `read records of collection "${collection.name}"`,
      body: JSON.stringify({ ...body, include }),
      ...options,
    });
    return parseRecords(text, failed);
  };
  const databasesOf = async (
    tenant: string,
    path: string,
    options?: ServerCallOptions,
  ): Promise<readonly ServerDatabase[]> => {
    const found: ServerDatabase[] = [];
    const action = `list the databases of tenant "${tenant}"`;
    for (let offset = 0; ; offset += pageOfDatabases) {
      const query = `limit=${pageOfDatabases}&offset=${offset}`;
      try {
        const page = await get(`${path}?${query}`, action, databasesSchema, options);
        found.push(...page.map(({ name }) => ({ tenant, name })));
        if (page.length < pageOfDatabases) return found;
      } catch (error) {
        if (!isSyncAgentError(error, 'USAGE') && !isSyncAgentError(error, 'NOT_FOUND')) throw error;
        return [{ tenant, name: defaultDatabase }];
      }
    }
  };

  return {
    url: endpoint.base,
    heartbeat: async (options = {}) => {
      await assertVersionTwo(endpoint, options);
      const beat = await get('/api/v2/heartbeat', 'ask for the heartbeat', heartbeatSchema, options);
      return beat['nanosecond heartbeat'] / 1e6;
    },
    version: (options) => get('/api/v2/version', 'ask for the version', versionSchema, options),
    databases: async (tenants = [defaultTenant], options) => {
      const found: ServerDatabase[] = [];
      for (const tenant of tenants) {
        const path = `/api/v2/tenants/${encodeURIComponent(tenant)}`;
        // For a tenant that does not exist the list below is empty.
        await get(path, `find tenant "${tenant}"`, nameSchema, options);
        found.push(...(await databasesOf(tenant, `${path}/databases`, options)));
      }
      return found;
    },
    assertDatabase: async (database, options) => {
      await get(databasePath(database), `find database "${database.name}"`, nameSchema, options);
    },
    collections: async function* (database, options = {}) {
      const path = `${databasePath(database)}/collections`;
      const action = `list the collections of database "${database.name}"`;
      for (let offset = 0; ; offset += pageOfCollections) {
        const query = `limit=${pageOfCollections}&offset=${offset}`;
        const { text, failed } = await ask({ method: 'GET', path: `${path}?${query}`, action, ...options });
        const page = parseCollections(text, failed);
        yield* page;
        if (page.length < pageOfCollections) return;
      }
    },
    collection: async (database, name, options = {}) => {
      const path = `${databasePath(database)}/collections/${encodeURIComponent(name)}`;
      const { text, failed } = await ask({
        method: 'GET',
        path,
        action: `find collection "${name}"`,
        ...options,
      });
      return parseCollection(text, failed);
    },
    count: (collection, options) =>
      get(`${pathOf(collection)}/count`, `count collection "${collection.name}"`, countSchema, options),
    page: (collection, range, options) => getRecords(collection, options, range),
    byIds: async (collection, ids, options) =>
      // To the server an empty list is none: it would send all records.
      ids.length === 0 ? [] : getRecords(collection, options, { ids }),
    query: async (collection, vector, limit, options = {}) => {
      const { text, failed } = await ask({
        method: 'POST',
        path: `${pathOf(collection)}/query`,
        action: `query collection "${collection.name}"`,
        body: JSON.stringify({ query_embeddings: [[...vector]], n_results: limit, include: [] }),
        ...options,
      });
      return parseAnswer(hitsSchema, text, failed).ids[0] ?? [];
    },
  };
}

const databasePath = ({ tenant, name }: ServerDatabase): string =>
  `/api/v2/tenants/${encodeURIComponent(tenant)}/databases/${encodeURIComponent(name)}`;
const pathOf = ({ tenant, database, id }: CollectionPlace): string =>
  `${databasePath({ tenant, name: database })}/collections/${encodeURIComponent(id)}`;

/** A server that speaks only v1 has another path for everything, and its version there. */
async function assertVersionTwo(endpoint: Endpoint, options: ServerCallOptions): Promise<void> {
  const probe = (path: string) =>
    call(endpoint, { method: 'GET', path, action: 'ask for the version', ...options });
  const { status } = await probe('/api/v2/version');
  if (status !== 404 && status !== 405) return;
  const old = await probe('/api/v1/version');
  if (old.status !== 200) return;
  const version = parseAnswer(versionSchema, old.text, `Cannot ask for the version of "${endpoint.base}"`);
  throw new SyncAgentError(
    'UNSUPPORTED',
    `Cannot talk to the Chroma server at "${endpoint.base}": it is version ${version}, which has no API v2`,
    { remedy: 'Use a server of Chroma 0.5.16 or later: it opens the same directory' },
  );
}
