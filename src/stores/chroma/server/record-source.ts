import type { CollectionDescription, RecordSource, SourceRecord } from '../../record-source.ts';
import { defaultTenant, openChromaServer } from './chroma-server.ts';
import type { ChromaServer, ServerAddress, ServerCollection } from './chroma-server.ts';

/** Records that one request asks for. */
const pageSize = 250;
/** Deletions move the pages of ids, so nearly every collection is one. */
const idsPerPage = 1_000_000;

/**
 * The records of a running server, of all databases of these tenants. Ids are listed first, so that writers which add and delete
 * meanwhile move no page: a record that was there all the time is read once.
 */
export async function openServerSource(
  address: ServerAddress,
  {
    tenant = defaultTenant,
    signal,
  }: { readonly tenant?: string | undefined; readonly signal?: AbortSignal | undefined },
): Promise<RecordSource> {
  const server = openChromaServer(address);
  await server.heartbeat({ signal });
  const collections: CollectionDescription[] = [];
  for (const database of await server.databases([tenant], { signal }))
    for await (const each of server.collections(database, { signal })) collections.push(describe(each));
  return {
    collections,
    count: (collection) => server.count(placeOf(collection), { signal }),
    records: async function* (collection, abortSignal) {
      const place = placeOf(collection);
      const ids = await idsOf(server, place, abortSignal);
      for (let from = 0; from < ids.length; from += pageSize) {
        const wanted = ids.slice(from, from + pageSize);
        yield* (await server.byIds(place, wanted, {
          include: ['embeddings', 'documents', 'metadatas', 'uris'],
          signal: abortSignal,
        })) satisfies readonly SourceRecord[];
      }
    },
    close: () => undefined,
  };
}

type Place = Pick<ServerCollection, 'id' | 'name' | 'tenant' | 'database'>;

async function idsOf(
  server: ChromaServer,
  place: Place,
  signal: AbortSignal | undefined,
): Promise<readonly string[]> {
  const ids = new Set<string>();
  for (let offset = 0; ; offset += idsPerPage) {
    const page = await server.page(place, { offset, limit: idsPerPage }, { include: [], signal });
    for (const { id } of page) ids.add(id);
    if (page.length < idsPerPage) return [...ids];
  }
}

const placeOf = ({ id, name, tenant, database }: CollectionDescription): Place => ({
  id,
  name,
  tenant,
  database,
});

/** As an export has it. The space is in the server's own configuration, wherever it was set. */
export function describe(collection: ServerCollection): CollectionDescription {
  return { ...collection, space: spaceOf(collection) };
}

/** A server of 1.x that opened an older directory reports `l2` there, and compares as the metadata says. */
function spaceOf({ configuration, metadata }: ServerCollection): string | null {
  const legacy = (parse(metadata) as { readonly 'hnsw:space'?: unknown } | undefined)?.['hnsw:space'];
  const hnsw = (parse(configuration) as { readonly hnsw?: { readonly space?: unknown } } | undefined)?.hnsw;
  const space = hnsw?.space;
  if (space === undefined || space === 'l2')
    return typeof legacy === 'string' ? legacy : (textOf(space) ?? 'l2');
  return textOf(space);
}

const textOf = (value: unknown): string | null => (typeof value === 'string' ? value : null);

function parse(text: string | null): unknown {
  try {
    return text === null ? undefined : (JSON.parse(text) ?? undefined);
  } catch {
    return undefined;
  }
}
