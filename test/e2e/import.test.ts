import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createAgent } from '../../src/in-process/create-agent.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { chromaAvailable, startChromaServer, startMigratedServer } from '../support/chroma-server.ts';
import type { ChromaServer } from '../support/chroma-server.ts';
import { unpackFixture } from '../support/fixtures.ts';
import { differencesOf, serverRecords } from '../support/server-records.ts';

const root = mkdtempSync(join(tmpdir(), 'import-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let made = 0;
const fresh = (): string => join(root, String(made++));
/** Retries without pauses. */
const clock = { ...systemClock, sleep: async () => undefined };

interface Described {
  readonly name: string;
  readonly metadata: object | null;
  readonly dimension: number | null;
  readonly configuration_json: { readonly hnsw: { readonly space: string } };
  readonly schema: { readonly keys: Readonly<Record<string, unknown>> } | null;
}

async function collectionsOf({ url }: ChromaServer, database: string): Promise<readonly Described[]> {
  const path = `${url}/api/v2/tenants/default_tenant/databases/${database}/collections`;
  return (await (await fetch(path)).json()) as readonly Described[];
}

describe.skipIf(chromaAvailable() !== undefined)('into a real server', () => {
  let target: ChromaServer;
  beforeAll(async () => {
    target = await startChromaServer({ path: fresh() });
  });
  afterAll(() => target.stop());

  test.each(['chroma-0.4.24', 'chroma-0.5.5', 'chroma-0.5.23', 'chroma-0.6.3', 'chroma-1-b'] as const)(
    'an export of %s brings every id, vector, document, metadata value and configuration',
    async (fixture) => {
      const dir = unpackFixture(fixture, fresh());
      const agent = createAgent({ store: dir, remote: '' });
      const to = fresh();
      const { records } = await agent.exportTo(to, { gzip: true });
      const result = await agent.importFrom([to], { chroma: target.url, database: fixture });
      expect(result.collections.reduce((sum, { added }) => sum + added, 0)).toBe(records);

      // What its own server says of it.
      const served = fresh();
      cpSync(dir, served, { recursive: true });
      const source = await startMigratedServer({ path: served });
      try {
        const [before, after] = [
          await collectionsOf(source, 'default_database'),
          new Map((await collectionsOf(target, fixture)).map((each) => [each.name, each])),
        ];
        expect(after.size).toBe(before.length);
        for (const each of before) {
          const { name, metadata, dimension, configuration_json: configuration, schema } = each;
          const isCosine = JSON.stringify([configuration.hnsw.space, metadata]).includes('cosine');
          const [there, here] = [await serverRecords(source.url, name), await serverRecords(target.url, name, fixture)]; // prettier-ignore
          expect(differencesOf(here, there, isCosine)).toEqual([]);
          const imported = after.get(name);
          expect(imported).toMatchObject({ metadata, dimension });
          // Of directories before 1.0 the server reports its own defaults, and does what the metadata says.
          const isSaidByMetadata = metadata !== null && 'hnsw:space' in metadata;
          if (isSaidByMetadata) expect(imported?.configuration_json.hnsw.space).toBe('cosine');
          else {
            expect(imported?.configuration_json).toEqual(configuration);
            expect(imported?.schema?.keys['#embedding']).toEqual(schema?.keys['#embedding']);
          }
        }
      } finally {
        await source.stop();
      }
    },
  );

  test('an export of a running server with arrays, types and special values comes back letter by letter', async () => {
    const agent = createAgent({ store: fresh(), remote: '' });
    const body = {
      ids: ['a', 'b/ü"', 'c'],
      embeddings: [[0.1, -0, 1e-40], [1, 2, 3], [3.4e38, 5, 6]],
      documents: ['line\u2028one\ntwo', null, ''],
      uris: [null, 'file:///b', null],
      metadatas: '[{"i":1,"f":1.0,"big":9007199254740993,"huge":1e300,"third":0.3333333333333333,"ss":["b","a"],"si":[1,2],"sf":[1.0],"sb":[true]},null,{"k":false}]',
    }; // prettier-ignore
    const base = `${target.url}/api/v2/tenants/default_tenant/databases/default_database/collections`;
    const post = async (path: string, text: string): Promise<string> => {
      const response = await fetch(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: text }); // prettier-ignore
      expect(response.ok, await response.clone().text()).toBe(true);
      return response.text();
    };
    const types = JSON.parse(
      await post(
        base,
        '{"name":"types","metadata":{"f":2.0,"i":2},"configuration":{"hnsw":{"space":"ip","max_neighbors":24,"sync_threshold":77}}}',
      ),
    ) as { readonly id: string };
    const { metadatas, ...rest } = body;
    await post(`${base}/${types.id}/add`, `${JSON.stringify(rest).slice(0, -1)},"metadatas":${metadatas}}`);
    const to = fresh();
    await agent.exportTo(to, { chroma: target.url, collections: ['types'], database: 'default_database' });
    const text = readFileSync(join(to, 'types.jsonl'), 'utf8');
    expect(text).toContain('"big":9007199254740993');
    expect(text).toMatch(/"f":1\.0[,}]/);
    await agent.importFrom([join(to, 'types.jsonl')], { chroma: target.url, as: 'types-again' });
    const again = fresh();
    await agent.exportTo(again, { chroma: target.url, collections: ['types-again'] });
    const sorted = (lines: string): readonly string[] =>
      lines.split('\n').filter((line) => line !== '').map((line) => JSON.stringify(JSON.parse(line, sortKeys))); // prettier-ignore
    expect(sorted(readFileSync(join(again, 'types-again.jsonl'), 'utf8'))).toEqual(sorted(text));
    const [first, second] = [await collectionsOf(target, 'default_database')].flatMap((all) =>
      ['types', 'types-again'].map((name) => all.find((each) => each.name === name)),
    );
    expect(second?.configuration_json).toEqual(first?.configuration_json);
    expect(second?.metadata).toEqual(first?.metadata);
  });

  test('a second import sends nothing, and a record that differs is refused, or replaced on demand', async () => {
    const file = join(root, 'some.jsonl');
    const line = (id: string, x: number, metadata: object): string =>
      JSON.stringify({ id, embedding: [x, 1], document: id, metadata });
    writeFileSync(file, [line('a', 1, { k: 1, old: 1 }), line('b', 2, { k: 1 })].join('\n'));
    const agent = createAgent({ store: fresh(), remote: '' });
    const into = { chroma: target.url, as: 'some' };
    expect((await agent.importFrom([file], into)).collections[0]).toMatchObject({ added: 2, equal: 0 });
    expect((await agent.importFrom([file], into)).collections[0]).toMatchObject({ added: 0, equal: 2 });

    writeFileSync(file, [line('a', 1, { k: 2 }), line('b', 2, { k: 1 }), line('c', 3, {})].join('\n'));
    const refused = agent.importFrom([file], into);
    await expect(refused).rejects.toMatchObject({ code: 'REFUSED' });
    await expect(refused).rejects.toThrow(/record "a" \(line 1 of .*metadata differ/);
    expect((await serverRecords(target.url, 'some')).get('a')?.metadata).toEqual({ k: 1, old: 1 });

    const kept = await agent.importFrom([file], { ...into, keepGoing: true });
    expect(kept.collections[0]).toMatchObject({ added: 1, equal: 1, problems: [{ id: 'a' }] });
    const replaced = await agent.importFrom([file], { ...into, overwrite: true });
    expect(replaced.collections[0]).toMatchObject({ added: 0, equal: 2, overwritten: 1 });
    expect((await serverRecords(target.url, 'some')).get('a')?.metadata).toEqual({ k: 2 });
  });

  test('one collection of a snapshot goes into the running server, the others are not touched', async () => {
    const store = unpackFixture('chroma-1-b', fresh());
    const agent = createAgent({ store, remote: `file://${fresh()}` });
    await agent.backup();
    rmSync(store, { recursive: true });
    const before = (await collectionsOf(target, 'default_database')).map(({ name }) => name);
    const into = { chroma: target.url, as: 'back' };
    const result = await agent.restoreCollection('beta-cosine', into);
    expect(result).toMatchObject({ name: 'back', added: 45, equal: 0 });
    expect(result.rounding).toBeGreaterThan(0);
    expect(result.rounding).toBeLessThan(1e-7);
    const after = (await collectionsOf(target, 'default_database')).map(({ name }) => name);
    expect(after.toSorted()).toEqual([...before, 'back'].toSorted());
    expect(await agent.restoreCollection('beta-cosine', into)).toMatchObject({ added: 0, equal: 45 });
    const unknown = agent.restoreCollection('beta', { chroma: target.url });
    await expect(unknown).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('a collection of another distance or dimension is refused before anything is sent', async () => {
    const file = join(root, 'other.jsonl');
    const agent = createAgent({ store: unpackFixture('chroma-1-b', fresh()), remote: '' });
    const to = fresh();
    await agent.exportTo(to, { collections: ['gamma-ip'] });
    await target.client.createCollection({ name: 'taken', embeddingFunction: null });
    const refused = agent.importFrom([join(to, 'gamma-ip.jsonl')], { chroma: target.url, as: 'taken' });
    await expect(refused).rejects.toThrow('it compares vectors by l2, the records need ip');
    writeFileSync(file, '{"id":"a","embedding":[1,2]}\n');
    await expect(agent.importFrom([file], { chroma: target.url })).rejects.toThrow(
      'no collections.json beside it',
    );
  });

  test('broken lines are named by their number, and the rest goes on with keepGoing', async () => {
    const file = join(root, 'broken.jsonl');
    const good = (id: string): string => JSON.stringify({ id, embedding: [1, 2, 3] });
    const lines = [good('a'), '{"id":"b","embedding":[1,', '', good('c'), '{"id":"d"}', '{"id":"e","embedding":[1]}', good('f')]; // prettier-ignore
    writeFileSync(file, lines.join('\n'));
    const agent = createAgent({ store: fresh(), remote: '' });
    await expect(agent.importFrom([file], { chroma: target.url, as: 'broken' })).rejects.toThrow(
      `Cannot import line 2 of "${file}": it is no JSON`,
    );
    const result = await agent.importFrom([file], { chroma: target.url, as: 'broken', keepGoing: true });
    expect(result.problems).toBe(3);
    expect(result.collections[0]?.problems.map(({ where }) => where.split(' of')[0])).toEqual([
      'line 2',
      'line 5',
      'line 6',
    ]);
    expect([...(await serverRecords(target.url, 'broken')).keys()].toSorted()).toEqual(['a', 'c', 'f']);
  });

  test('an id that comes twice is sent once, and its second, different line is refused', async () => {
    const file = join(root, 'twice.jsonl');
    const line = (id: string, x: number): string => JSON.stringify({ id, embedding: [x, 1] });
    writeFileSync(file, [line('a', 1), line('b', 1), line('a', 1), line('b', 2)].join('\n'));
    const agent = createAgent({ store: fresh(), remote: '' });
    await expect(agent.importFrom([file], { chroma: target.url, as: 'twice' })).rejects.toThrow(
      /record "b" \(line 4 of .* embedding differ/,
    );
  });
});

test.skipIf(chromaAvailable() !== undefined)(
  'an import into a server that dies in the middle fails clearly, and the next one goes on where it stopped',
  async () => {
    const to = fresh();
    const store = unpackFixture('chroma-0.6.3', fresh());
    await createAgent({ store, remote: '' }).exportTo(to, { collections: ['colA'] });
    const path = fresh();
    let server = await startChromaServer({ path });
    const { port } = server;
    let retries = 0;
    const agent = createAgent(
      { store, remote: '' },
      {
        clock,
        emit: (event) => {
          if (event.type === 'retry') retries += 1;
          if (event.type === 'progress' && event.done >= 500) process.kill(server.pid, 'SIGKILL');
        },
      },
    );
    const died = agent.importFrom([to], { chroma: server.url, as: 'colA' });
    await expect(died).rejects.toMatchObject({ code: 'REMOTE_UNREACHABLE' });
    await expect(died).rejects.toMatchObject({ remedy: expect.stringContaining('goes on where it stopped') as string }); // prettier-ignore
    expect(retries).toBeGreaterThan(2);
    server = await startChromaServer({ path, port });
    try {
      const again = createAgent({ store, remote: '' });
      const { collections } = await again.importFrom([to], { chroma: server.url, as: 'colA' });
      const [result] = collections;
      expect(result?.equal).toBeGreaterThanOrEqual(500);
      expect((result?.added ?? 0) + (result?.equal ?? 0)).toBe(1330);
      expect((await serverRecords(server.url, 'colA')).size).toBe(1330);
    } finally {
      await server.stop();
    }
  },
);

/** Servers send keys in any order. */
function sortKeys(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
