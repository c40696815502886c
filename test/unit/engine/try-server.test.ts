import { describe, expect, it } from 'vitest';
import type { Context } from '../../../src/engine/context.ts';
import type { ExpectedCollection } from '../../../src/engine/drill/expected-records.ts';
import { tryServer } from '../../../src/engine/drill/try-server.ts';
import { SyncAgentError } from '../../../src/platform/errors.ts';
import type { StoreAdapter } from '../../../src/stores/adapter.ts';
import type { TrialServer } from '../../../src/stores/drilling.ts';
import type { SourceRecord } from '../../../src/stores/record-source.ts';

const record = (id: string, ...vector: readonly number[]): SourceRecord => ({
  id,
  embedding: new Float32Array(vector),
  document: `text of ${id}`,
  uri: null,
  metadata: '{"a":1}',
});
const collection = {
  id: 'c1',
  name: 'docs',
  tenant: 't',
  database: 'd',
  dimension: 2,
  space: 'l2',
  metadata: null,
  configuration: null,
  schema: null,
};
const records = [record('a', 1, 0), record('b', 0, 1), record('c', 1, 1), record('d', 2, 0)];
const expected: ExpectedCollection = { collection, records: 4, sample: records };

/** What a right server answers. */
const right: TrialServer = {
  version: '1.0.0',
  collections: async () => [collection],
  count: async () => 4,
  byIds: async (_, ids) => records.filter(({ id }) => ids.includes(id)),
  nearest: async (_, vector) =>
    records
      .filter(({ embedding }) => embedding?.every((value, i) => value === vector[i]))
      .map(({ id }) => id),
  stop: async () => undefined,
};
const dropped = async (): Promise<never> => {
  throw new SyncAgentError('REMOTE_UNREACHABLE', 'it broke the connection');
};

/** Servers come one after the other; the last one stays. */
async function tried(servers: readonly Partial<TrialServer>[], truth = expected) {
  let [boots, stops] = [0, 0];
  const drilling = {
    findServer: async () => ({ type: 'found', server: { argv: [], name: 'chroma', cwd: undefined } }),
    startServer: async () => {
      const server = { ...right, ...servers[Math.min(boots, servers.length - 1)] };
      boots += 1;
      return { ...server, stop: async () => void (stops += 1) };
    },
  };
  const result = await tryServer(
    { emit: () => undefined, signal: undefined } as unknown as Context,
    { dir: '', adapter: { name: 'chroma', drilling } as unknown as StoreAdapter, expected: [truth] },
    { place: { scratch: '' } as never, server: undefined },
  );
  expect(stops).toBe(boots);
  return result;
}
const problemsOf = async (server: Partial<TrialServer>, truth = expected): Promise<readonly string[]> =>
  (await tried([server], truth)).problems;

describe('a server on trial', () => {
  it('that gives out all that the files say passes', async () => {
    expect(await tried([{}])).toEqual({ problems: [], server: { state: 'answered', name: 'chroma', version: '1.0.0', boots: 1, why: null } }); // prettier-ignore
  });

  it('that drops a connection is followed by another one, up to five in all', async () => {
    expect(await tried([{ count: dropped }, { byIds: dropped }, {}])).toMatchObject({ server: { state: 'answered', boots: 3 } }); // prettier-ignore
    expect(await tried([{ count: dropped }])).toMatchObject({ server: { state: 'failed', boots: 5 }, problems: ['it broke the connection'] }); // prettier-ignore
  });

  it('that answers wrongly fails at once', async () => {
    expect(await tried([{ count: async () => 3 }, {}])).toMatchObject({
      server: { state: 'failed', boots: 1 },
    });
    expect(await problemsOf({ count: async () => 3 })).toEqual([
      'collection "docs" has 3 records instead of 4',
    ]);
    expect(await problemsOf({ collections: async () => [] })).toEqual(['collection "docs" is missing']);
    expect(await problemsOf({ collections: async () => [collection, { ...collection, id: 'c2', name: 'x' }] })).toEqual(['collection "x" is not in the files']); // prettier-ignore
  });

  it('has to have each record of the sample, and every part of it', async () => {
    const change = (part: Partial<SourceRecord>): Partial<TrialServer> => ({
      byIds: async (_, ids) => records.filter(({ id }) => ids.includes(id)).map((each) => (each.id === 'b' ? { ...each, ...part } : each)), // prettier-ignore
    });
    expect(await problemsOf(change({ document: 'another' }))).toEqual(['record "b" of collection "docs" has another document']); // prettier-ignore
    expect(await problemsOf(change({ metadata: '{"a":2}' }))).toEqual(['record "b" of collection "docs" has another metadata']); // prettier-ignore
    expect(await problemsOf(change({ embedding: new Float32Array([0, 2]) }))).toEqual(['record "b" of collection "docs" has another embedding']); // prettier-ignore
    expect(await problemsOf({ byIds: async () => records.slice(1) })).toContain(
      'record "a" of collection "docs" is missing',
    );
  });

  it('may miss one of four searches, and not two', async () => {
    const missing = (...ids: readonly string[]): Partial<TrialServer> => ({
      nearest: async (place, vector, limit) => (await right.nearest(place, vector, limit)).filter((id) => !ids.includes(id)), // prettier-ignore
    });
    expect(await problemsOf(missing('a'))).toEqual([]);
    expect(await problemsOf(missing('a', 'b'))).toEqual([
      'in collection "docs" 2 of 4 searches do not find their record',
    ]);
  });

  it('may find another record with the same vector, and by the inner product any', async () => {
    const twin = record('twin', 1, 0);
    const same: Partial<TrialServer> = {
      byIds: async (_, ids) => [...records, twin].filter(({ id }) => ids.includes(id)),
      nearest: async () => ['twin'],
    };
    const one = { ...expected, sample: records.slice(0, 1) };
    expect(await problemsOf(same, one)).toEqual([]);
    expect(await problemsOf({ nearest: async () => ['d'] }, one)).toHaveLength(1);
    expect(await problemsOf({ nearest: async () => ['d'] }, { ...one, collection: { ...collection, space: 'ip' } })).toEqual([]); // prettier-ignore
  });
});
