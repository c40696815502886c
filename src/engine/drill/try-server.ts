import { isSyncAgentError, throwIfAborted } from '../../platform/errors.ts';
import type { TrialServer } from '../../stores/drilling.ts';
import { enterPhase } from '../context.ts';
import type { Context } from '../context.ts';
import type { SourceRecord } from '../../stores/record-source.ts';
import { cosineRounding, vectorDistance } from '../records/same-record.ts';
import { noServer } from './drill-report.ts';
import type { DrilledServer } from './drill-report.ts';
import { countProblem, sampleProblems } from './expected-records.ts';
import type { ExpectedCollection } from './expected-records.ts';
import type { RestoredCopy, TrialRequest } from './try-snapshot.ts';

/** Searches of each collection, and how many neighbours each asks for: at first, and if the record is not among them. */
const searches = 5;
const neighbours = [10, 200] as const;

/** A new server of Chroma drops a connection at the first read of a directory of 0.4.24 in three of ten boots, and the next one goes on. */
const mostBoots = 5;

/** Starts a server on the copy, and asks it for all that the files say. Starts another one after one that dropped a connection. */
export async function tryServer(
  context: Context,
  { dir, adapter, expected }: Pick<RestoredCopy, 'dir' | 'adapter' | 'expected'>,
  { place, server: command }: Pick<TrialRequest, 'place' | 'server'>,
): Promise<{ readonly server: DrilledServer; readonly problems: readonly string[] }> {
  const { drilling, name: kind } = adapter;
  if (drilling === undefined || expected === undefined)
    return { server: noServer(`a store of the kind "${kind}" has no server`), problems: [] };
  const options = { scratch: place.scratch, signal: context.signal };
  const found = await drilling.findServer(command, options);
  if (found.type === 'none') return { server: noServer(found.why), problems: [] };
  enterPhase(context, 'verify');
  const { name } = found.server;
  const failed = (boots: number, problems: readonly string[], version: string | null = null) => ({
    server: { state: 'failed' as const, name, version, boots, why: null },
    problems,
  });
  for (let boots = 1; ; boots += 1) {
    let server: Awaited<ReturnType<typeof drilling.startServer>>;
    try {
      server = await drilling.startServer(dir, found.server, options);
    } catch (error) {
      if (!isSyncAgentError(error, 'STORE_CORRUPT')) throw error;
      return failed(boots, [error.message]);
    }
    try {
      const problems = await askServer(server, expected);
      if (problems.length > 0) return failed(boots, problems, server.version);
      return { server: { state: 'answered', name, version: server.version, boots, why: null }, problems };
    } catch (error) {
      throwIfAborted(context.signal, 'Drill');
      if (!isSyncAgentError(error, 'REMOTE_UNREACHABLE') || boots === mostBoots) {
        if (!isSyncAgentError(error) || error.code === 'INTERRUPTED') throw error;
        return failed(boots, [error.message], server.version);
      }
    } finally {
      await server.stop();
    }
  }
}

/**
 * Asks a server for all that the files say: every collection is counted, and some of its records are read and searched for. Resolves to
 * what is wrong, in sentences. Rejects if the server fails or dies.
 */
async function askServer(
  server: TrialServer,
  expected: readonly ExpectedCollection[],
): Promise<readonly string[]> {
  const problems: string[] = [];
  const found = await server.collections(expected.map(({ collection }) => collection.tenant));
  const known = new Set(expected.map(({ collection }) => collection.id));
  for (const { id, name } of found)
    if (!known.has(id)) problems.push(`collection "${name}" is not in the files`);
  for (const { collection, records, sample } of expected) {
    if (!found.some(({ id }) => id === collection.id)) {
      problems.push(`collection "${collection.name}" is missing`);
      continue;
    }
    problems.push(...countProblem(collection, records, await server.count(collection)));
    const ids = sample.map(({ id }) => id);
    problems.push(...sampleProblems(collection, sample, await server.byIds(collection, ids)));
    problems.push(...(await search(server, { collection, records, sample })));
  }
  return problems;
}

/**
 * Looks for records by their own vectors. A graph leaves the odd vector unreached, in a sound store as well, so a few may be missed. By the
 * inner product a vector need not be its own nearest: then there must only be an answer.
 */
async function search(
  server: TrialServer,
  { collection, records, sample }: ExpectedCollection,
): Promise<readonly string[]> {
  const sought = sample.filter(({ embedding }) => embedding !== null).slice(0, searches);
  let missed = 0;
  for (const record of sought)
    if (!(await isFound(server, collection, record, Math.max(1, records)))) missed += 1;
  if (missed * 4 <= sought.length) return [];
  return [
    `in collection "${collection.name}" ${missed} of ${sought.length} searches do not find their record`,
  ];
}

async function isFound(
  server: TrialServer,
  collection: ExpectedCollection['collection'],
  { id, embedding }: SourceRecord,
  most: number,
): Promise<boolean> {
  if (embedding === null) return false;
  for (const count of neighbours) {
    const ids = await server.nearest(collection, embedding, Math.min(count, most));
    if (ids.includes(id) || (collection.space === 'ip' && ids.length > 0)) return true;
    // Of many equal vectors any may be the nearest.
    const [nearest] = await server.byIds(collection, ids.slice(0, 1));
    if (nearest !== undefined && vectorDistance(embedding, nearest.embedding) <= cosineRounding) return true;
  }
  return false;
}
