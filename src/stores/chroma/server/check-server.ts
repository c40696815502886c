import { SyncAgentError, isSyncAgentError, messageOf } from '../../../platform/errors.ts';
import type {
  ServerCheckOptions,
  ServerCollectionReport,
  ServerPlace,
  ServerProblem,
  ServerReport,
} from '../../reading.ts';
import { openChromaServer } from './chroma-server.ts';
import type { ChromaServer, ServerCollection } from './chroma-server.ts';

/** A page of vectors is enough to make the server load the index. */
const sampled = 10;

/**
 * Asks a running server for its heartbeat, then counts, reads and searches each collection: with damaged files it starts and beats, and
 * fails or dies at the first access. Goes on after a collection that fails, as long as the server lives. Only reads. Rejects with INTERRUPTED,
 * and with UNSUPPORTED, DENIED, USAGE or NOT_FOUND if nothing can be asked at all.
 */
export async function checkChromaServer(
  place: ServerPlace,
  options: ServerCheckOptions,
): Promise<ServerReport> {
  const server = openChromaServer(place);
  const collections: ServerCollectionReport[] = [];
  const problems: ServerProblem[] = [];
  const facts: { version: string | null; heartbeatMs: number | null } = { version: null, heartbeatMs: null };
  const report = (isReachable: boolean): ServerReport => ({
    url: server.url,
    isReachable,
    ...facts,
    collections,
    problems,
  });
  try {
    facts.heartbeatMs = (await timed(() => server.heartbeat(options))).tookMs;
    facts.version = await server.version(options);
    for (const database of await server.databases(place.tenants, options)) {
      for await (const collection of server.collections(database, options)) {
        const found = await checkCollection(server, collection, options);
        collections.push(found.report);
        if (found.failure === undefined) continue;
        problems.push({ where: `collection "${collection.name}"`, message: found.failure.message });
        await server.heartbeat(options);
      }
    }
    return report(true);
  } catch (error) {
    if (!isSyncAgentError(error, 'REMOTE_UNREACHABLE')) throw error;
    problems.push({ where: 'server', message: error.message });
    return report(false);
  }
}

async function checkCollection(
  server: ChromaServer,
  collection: ServerCollection,
  options: ServerCheckOptions,
): Promise<{ readonly report: ServerCollectionReport; readonly failure?: SyncAgentError }> {
  const { tenant, database, name } = collection;
  const place = { tenant, database, name };
  let done: Omit<ServerCollectionReport, keyof typeof place> = {
    records: null,
    countMs: null,
    getMs: null,
    queryMs: null,
  };
  try {
    const counted = await timed(() => server.count(collection, options));
    done = { ...done, records: counted.result, countMs: counted.tookMs };
    const range = { offset: 0, limit: sampled };
    const got = await timed(() => server.page(collection, range, { ...options, include: ['embeddings'] }));
    done = { ...done, getMs: got.tookMs };
    const expected = Math.min(sampled, counted.result);
    if (got.result.length < expected)
      throw failed(`it counts ${counted.result} records in "${name}", and gives ${got.result.length}`);
    const vector = got.result.find(({ embedding }) => embedding !== null)?.embedding;
    if (vector != null) {
      const found = await timed(() => server.query(collection, vector, 1, options));
      done = { ...done, queryMs: found.tookMs };
      if (found.result.length === 0)
        throw failed(`a search in "${name}" by the vector of a record finds nothing`);
    }
    return { report: { ...place, ...done } };
  } catch (error) {
    if (isSyncAgentError(error, 'INTERRUPTED')) throw error;
    // A collection that is deleted meanwhile is no failure.
    if (isSyncAgentError(error, 'NOT_FOUND') && done.countMs === null)
      return { report: { ...place, ...done } };
    const failure = isSyncAgentError(error) ? error : failed(messageOf(error));
    return { report: { ...place, ...done }, failure };
  }
}

const failed = (why: string): SyncAgentError =>
  new SyncAgentError('STORE_CORRUPT', `The Chroma server fails: ${why}`);

async function timed<T>(work: () => Promise<T>): Promise<{ readonly result: T; readonly tookMs: number }> {
  const startMs = performance.now();
  const result = await work();
  return { result, tookMs: Math.round(performance.now() - startMs) };
}
