import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Collection } from 'chromadb';
import { startChromaServer, type ChromaServer } from './chroma-server.ts';
import type { ExpectedRecord, Expectation, PossibleState } from './busy-writer.ts';
import {
  documentOf,
  metadataOf,
  vectorOf,
  wordOf,
  type CollectionSpec,
  type RecordState,
} from './records.ts';

export interface Finding {
  /** Empty where it concerns the whole store. */
  readonly collection: string;
  readonly type:
    | 'server failed'
    | 'collection missing'
    | 'collection unreadable'
    | 'wrong count'
    | 'record lost'
    | 'ghost record'
    | 'wrong record'
    | 'not one point in time'
    | 'query failed'
    | 'write failed';
  readonly message: string;
}

export interface OracleOptions {
  readonly port?: number;
  /** Records per collection that are searched for by vector, by word and by metadata, default 12. */
  readonly sample?: number;
  /** Names of collections that may or may not be there: they must be readable, whatever they hold. */
  readonly passing?: RegExp;
}

/** The server normalises vectors of cosine collections and multiplies their length back. */
const cosineTolerance = 1e-5;
const requestMs = 20_000;

/**
 * Starts a new server on a copy of a restored directory and compares everything in it with what it may hold. No
 * findings: the directory is good. Besides each record it checks that all of them are of one moment, that searches by
 * vector, word and metadata find them, and that the server still takes writes.
 */
export async function checkRestored(
  path: string,
  expectation: Expectation,
  { port, sample = 12, passing }: OracleOptions = {},
): Promise<readonly Finding[]> {
  const scratch = await mkdtemp(join(tmpdir(), 'sync-agent-oracle-'));
  const findings: Finding[] = [];
  let server: ChromaServer | undefined;
  try {
    await cp(path, join(scratch, 'store'), { recursive: true });
    server = await startChromaServer({ path: join(scratch, 'store'), ...(port !== undefined && { port }) });
    const fate: { end?: string } = {};
    void server.ended.then((how) => (fate.end = how));

    const cut = new Cut();
    for (const spec of expectation.collections) {
      const records = expectation.records.get(spec.name) ?? new Map<string, never>();
      findings.push(...(await checkCollection(server, spec, records, cut, sample)));
      if (fate.end !== undefined) throw new Error(`the server died: ${fate.end}`);
    }
    findings.push(...(await findUnexpected(server, expectation, passing)), ...cut.findings());
    return findings;
  } catch (error) {
    return [...findings, { collection: '', type: 'server failed', message: String(error) }];
  } finally {
    await server?.stop('SIGKILL');
    await rm(scratch, { recursive: true, force: true });
  }
}

/** One line for a person: how many findings of which type, and the first few. */
export function describeFindings(findings: readonly Finding[]): string {
  const counts = new Map<string, number>();
  for (const { type } of findings) counts.set(type, (counts.get(type) ?? 0) + 1);
  const summary = [...counts].map(([type, count]) => `${count} × ${type}`).join(', ');
  const examples = findings.slice(0, 5).map(({ collection, message }) => `\n  ${collection}: ${message}`);
  return findings.length === 0 ? 'no findings' : `${summary}${examples.join('')}`;
}

async function checkCollection(
  { client }: ChromaServer,
  spec: CollectionSpec,
  expected: ReadonlyMap<string, ExpectedRecord>,
  cut: Cut,
  sample: number,
): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  const report = (type: Finding['type'], message: string): void => {
    findings.push({ collection: spec.name, type, message });
  };

  let collection: Collection;
  try {
    collection = await within(client.getCollection({ name: spec.name }));
  } catch (error) {
    report('collection missing', String(error));
    return findings;
  }

  const found = new Map<string, RecordState>();
  const seen = new Set<string>();
  try {
    const count = await within(collection.count());
    for await (const record of allRecords(collection)) {
      seen.add(record.id);
      const candidates = expected.get(record.id);
      if (!candidates) {
        report('ghost record', `"${record.id}" was never written`);
        continue;
      }
      const match = candidates.states.find(({ state }) => state !== undefined && equals(record, spec, state));
      if (match?.state) {
        found.set(record.id, match.state);
        cut.observe(spec.name, record.id, candidates.worker, match);
      } else if (candidates.states.every(({ state }) => state === undefined)) {
        report('ghost record', `"${record.id}" was deleted`);
      } else {
        report(
          'wrong record',
          `"${record.id}" is in none of its ${candidates.states.length} possible states`,
        );
      }
    }
    if (count !== seen.size) report('wrong count', `count() is ${count}, get() gives ${seen.size} records`);
  } catch (error) {
    report('collection unreadable', String(error));
    return findings;
  }

  for (const [id, { worker, states }] of expected) {
    if (seen.has(id)) continue;
    const absences = states.filter(({ state }) => state === undefined);
    if (absences.length === 0) report('record lost', `"${id}" is missing`);
    // Absent at several times: it cannot be told which one this is.
    else if (absences.length === 1) cut.observe(spec.name, id, worker, absences[0]!);
  }

  const step = Math.max(1, Math.floor(found.size / sample));
  const sampled = [...found].filter((_, index) => index % step === 0).slice(0, sample);
  try {
    let unreached = 0;
    for (const [id, state] of sampled) {
      if (!(await isFoundByVector(collection, spec, id, state))) unreached++;
      for (const problem of await search(collection, id, state)) report('query failed', problem);
    }
    // An HNSW index leaves the odd vector unreachable after updates and deletes, in a healthy store as well.
    if (unreached * 4 > sampled.length) {
      report('query failed', `${unreached} of ${sampled.length} records are not found by their own vectors`);
    }
  } catch (error) {
    report('query failed', String(error));
  }
  try {
    const problem = await tryWrites(collection, spec);
    if (problem) report('write failed', problem);
  } catch (error) {
    report('write failed', String(error));
  }
  return findings;
}

interface FoundRecord {
  readonly id: string;
  readonly embedding: readonly number[] | null | undefined;
  readonly document: string | null | undefined;
  readonly metadata: Readonly<Record<string, unknown>> | null | undefined;
}

async function* allRecords(collection: Collection): AsyncGenerator<FoundRecord> {
  const limit = 500;
  for (let offset = 0; ; offset += limit) {
    const page = await within(
      collection.get({ limit, offset, include: ['embeddings', 'documents', 'metadatas'] }),
    );
    for (const [index, id] of page.ids.entries()) {
      yield {
        id,
        embedding: page.embeddings[index],
        document: page.documents[index],
        metadata: page.metadatas[index],
      };
    }
    if (page.ids.length < limit) return;
  }
}

function equals(
  record: FoundRecord,
  spec: CollectionSpec,
  { vectorSeed, documentSeed, metadataSeed }: RecordState,
): boolean {
  const { metadata, embedding } = record;
  if (record.document !== documentOf(documentSeed)) return false;
  const expected = metadataOf(metadataSeed);
  const keys = Object.keys(metadata ?? {});
  if (keys.length !== Object.keys(expected).length || keys.some((key) => metadata?.[key] !== expected[key]))
    return false;
  const vector = vectorOf(spec, vectorSeed);
  const tolerance = spec.space === 'cosine' ? cosineTolerance : 0;
  return (
    embedding?.length === vector.length &&
    vector.every((value, index) => Math.abs(Math.fround(embedding[index] ?? NaN) - value) <= tolerance)
  );
}

async function isFoundByVector(
  collection: Collection,
  spec: CollectionSpec,
  id: string,
  { vectorSeed }: RecordState,
): Promise<boolean> {
  const queryEmbeddings = [vectorOf(spec, vectorSeed)];
  for (const nResults of [5, 200]) {
    const { ids } = await within(collection.query({ queryEmbeddings, nResults, include: ['distances'] }));
    if (ids[0]?.includes(id)) return true;
  }
  return false;
}

/** Problems finding a record by its word and by its metadata. */
async function search(
  collection: Collection,
  id: string,
  { documentSeed, metadataSeed }: RecordState,
): Promise<readonly string[]> {
  const problems: string[] = [];
  const byWord = await within(
    collection.get({ whereDocument: { $contains: wordOf(documentSeed) }, include: [] }),
  );
  if (byWord.ids.join() !== id) problems.push(`"${id}" is not found by its word, but "${byWord.ids.join()}"`);
  const bySeed = await within(collection.get({ where: { seed: metadataSeed }, include: [] }));
  if (bySeed.ids.join() !== id)
    problems.push(`"${id}" is not found by its metadata, but "${bySeed.ids.join()}"`);
  return problems;
}

/** Adds, reads, changes and deletes a record; what an acknowledged write must show at once. */
async function tryWrites(collection: Collection, spec: CollectionSpec): Promise<string | undefined> {
  const ids = ['oracle-probe'];
  const read = async (): Promise<string | null | undefined> =>
    (await within(collection.get({ ids, include: ['documents', 'embeddings'] }))).documents[0];
  const embeddings = [vectorOf(spec, 1)];
  await within(collection.add({ ids, embeddings, documents: ['first probe'], metadatas: [{ probe: 1 }] }));
  if ((await read()) !== 'first probe') return 'an acknowledged add is not there';
  await within(collection.upsert({ ids, embeddings, documents: ['second probe'] }));
  if ((await read()) !== 'second probe') return 'an acknowledged upsert is not there';
  await within(collection.delete({ ids }));
  if ((await read()) !== undefined) return 'an acknowledged delete did not happen';
  return undefined;
}

async function findUnexpected(
  { client }: ChromaServer,
  { collections }: Expectation,
  passing: RegExp | undefined,
): Promise<readonly Finding[]> {
  const expected = new Set(collections.map(({ name }) => name));
  const findings: Finding[] = [];
  for (const collection of await within(client.listCollections({ limit: 1000 }))) {
    const { name } = collection;
    if (expected.has(name)) continue;
    if (passing?.test(name) !== true)
      findings.push({ collection: name, type: 'ghost record', message: 'the collection was never made' });
    else findings.push(...(await readThrough(collection)));
  }
  return findings;
}

/** Whether all of a collection's records have their vectors, and count() says how many they are. */
async function readThrough(collection: Collection): Promise<readonly Finding[]> {
  try {
    const count = await within(collection.count());
    let seen = 0;
    for await (const { embedding } of allRecords(collection)) if (embedding !== undefined) seen += 1;
    if (seen === count) return [];
    const message = `count() is ${count}, get() gives ${seen} vectors`;
    return [{ collection: collection.name, type: 'wrong count', message }];
  } catch (error) {
    return [{ collection: collection.name, type: 'collection unreadable', message: String(error) }];
  }
}

/**
 * Whether all records are of one moment. Each says that its worker's operation `since` had happened and that `until`
 * had not; so of one worker the greatest `since` must be smaller than the smallest `until`.
 */
class Cut {
  readonly #bounds = new Map<number, { newest: Bound; oldest: Bound }>();

  observe(collection: string, id: string, worker: number, { since, until }: PossibleState): void {
    const label = `"${id}" of "${collection}"`;
    const bounds = this.#bounds.get(worker);
    if (!bounds) {
      this.#bounds.set(worker, { newest: { operation: since, label }, oldest: { operation: until, label } });
      return;
    }
    if (since > bounds.newest.operation) bounds.newest = { operation: since, label };
    if (until < bounds.oldest.operation) bounds.oldest = { operation: until, label };
  }

  findings(): readonly Finding[] {
    return [...this.#bounds].flatMap(([worker, { newest, oldest }]) =>
      newest.operation < oldest.operation
        ? []
        : {
            collection: '',
            type: 'not one point in time',
            message:
              `${newest.label} shows operation ${newest.operation} of worker ${worker}, ` +
              `but ${oldest.label} does not show its operation ${oldest.operation}`,
          },
    );
  }
}

interface Bound {
  readonly operation: number;
  readonly label: string;
}

/** A damaged index can make the server wait for ever. */
async function within<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer in ${requestMs / 1000} s`)), requestMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
