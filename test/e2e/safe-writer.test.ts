import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ChromaClient } from 'chromadb';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type * as Chroma from '../../src/chroma.ts';
import type * as Library from '../../src/index.ts';
import type { AgentEvent, WriterRecord } from '../../src/chroma.ts';
import { importBuilt } from '../support/built-cli.ts';
import { startChromaProxy } from '../support/chroma-proxy.ts';
import type { ChromaProxy } from '../support/chroma-proxy.ts';
import { chromaAvailable, startChromaServer } from '../support/chroma-server.ts';
import type { ChromaServer } from '../support/chroma-server.ts';
import { makeMemoryCgroup } from '../support/memory-cgroup.ts';
import { vectorOf } from '../support/records.ts';
import { serverRecords } from '../support/server-records.ts';

// Compiled, as callers have it.
const { createSafeWriter } = await importBuilt<typeof Chroma>('chroma.js');
const { createSyncAgent } = await importBuilt<typeof Library>('index.js');

const root = mkdtempSync(join(tmpdir(), 'safe-writer-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const record = (n: number, more: Partial<WriterRecord> = {}): WriterRecord => ({
  id: `r${n}`,
  embedding: vectorOf({ name: 'docs', space: 'l2', dimension: 8 }, n),
  document: `document ${n}`,
  metadata: { n, words: ['a', 'b'], mixed: [1, 2.5] },
  ...more,
});
const records = (from: number, to: number): readonly WriterRecord[] =>
  Array.from({ length: to - from }, (_, i) => record(from + i));
const comparable = ({ embedding, document = null, uri = null, metadata = null }: WriterRecord): object => ({
  embedding: Float32Array.from(embedding ?? []),
  document,
  uri,
  metadata,
});

describe.skipIf(chromaAvailable() !== undefined)('a safe writer, with the client of chromadb', () => {
  let server: ChromaServer;
  let proxy: ChromaProxy | undefined;
  beforeAll(async () => {
    server = await startChromaServer({ path: join(root, 'store') });
  });
  afterAll(() => server.stop());
  afterEach(async () => {
    await proxy?.close();
    proxy = undefined;
  });
  const clientOf = (url: string): ChromaClient =>
    new ChromaClient({ host: '127.0.0.1', port: Number(new URL(url).port) });
  const stored = async (name: string) => serverRecords(server.url, name);

  test('streams records, reads them back, notifies the agent, and sends nothing twice', async () => {
    let notified = 0;
    const writer = createSafeWriter({ client: server.client, agent: { notify: () => (notified += 1) } });
    async function* stream(): AsyncGenerator<WriterRecord> {
      for (const each of records(0, 150)) yield await Promise.resolve(each);
    }
    expect(await writer.index('streamed', stream())).toMatchObject({ added: 150, isNew: true });
    expect(notified).toBeGreaterThanOrEqual(2);
    expect(await stored('streamed')).toEqual(new Map(records(0, 150).map((each) => [each.id, comparable(each)]))); // prettier-ignore
    const again = [...records(0, 149), record(149, { metadata: { n: -1 }, uri: 'file:///x' })];
    expect(await writer.index('streamed', again)).toMatchObject({ added: 0, equal: 149, overwritten: 1 });
    expect((await stored('streamed')).get('r149')).toEqual(comparable(again[149] ?? record(0)));
  });

  test('takes a collection, makes vectors by its embedding function, and mixes them with given ones', async () => {
    const collection = await server.client.createCollection({
      name: 'embedded',
      configuration: { hnsw: { space: 'cosine' } },
      embeddingFunction: {
        name: 'lengths',
        generate: async (texts) => texts.map((text) => [text.length, 1]),
      },
    });
    const writer = createSafeWriter({ client: server.client });
    const given: WriterRecord[] = [
      { id: 'a', document: 'four' },
      { id: 'b', document: 'x', embedding: [3, 4] },
      { id: 'c', document: null, embedding: Float32Array.of(0.5, 0.25) },
    ];
    expect(await writer.index(collection, given)).toMatchObject({ added: 3, name: 'embedded' });
    const found = await stored('embedded');
    expect([...(found.get('a')?.embedding ?? [])].map(Math.round)).toEqual([4, 1]);
    expect(found.get('c')).toMatchObject({ document: null });
    await expect(writer.index('embedded', [{ id: 'd' }])).rejects.toThrow('neither embedding nor document');
  });

  test('sends nothing of an array with a record that the server would refuse', async () => {
    const writer = createSafeWriter({ client: server.client });
    const bad = (more: object) => writer.index('refused', [...records(0, 60), record(60, more)]);
    for (const [more, message] of [
      [{ embedding: [1, NaN, 1, 1, 1, 1, 1, 1] }, 'value 1 of its embedding is NaN'],
      [{ embedding: [1e39, 1, 1, 1, 1, 1, 1, 1] }, 'value 0 of its embedding is Infinity'],
      [{ embedding: [1, 2] }, 'has 2 values'],
      [{ embedding: 'text' }, 'no array of numbers'],
      [{ id: '' }, 'its id is empty'],
      [{ id: 7 }, '"id" is no text'],
      [{ id: 'r3' }, 'comes twice: record 4 '],
      [{ metadata: { when: new Date() } }, 'cannot keep under "when"'],
      [{ metadata: { ratio: NaN } }, 'cannot keep under "ratio"'],
      [{ metadata: { 'chroma:document': null } }, 'Chroma keeps for itself'],
    ] as const) {
      await expect(bad(more)).rejects.toMatchObject({ code: 'USAGE' });
      await expect(bad(more)).rejects.toThrow(message);
    }
    await expect(stored('refused')).rejects.toThrow('404');
  });

  test('gives up on a client that is never answered, and names the deadline', async () => {
    proxy = await startChromaProxy(server.url, ({ operation }) => (operation === 'add' ? 'hang' : undefined));
    const writer = createSafeWriter({ client: clientOf(proxy.url), deadlineMs: 200 });
    const given = writer.index('silent', records(0, 60));
    await expect(given).rejects.toMatchObject({ code: 'REMOTE_UNREACHABLE' });
    await expect(given).rejects.toThrow('no complete answer in 200 ms');
  });

  test('makes batches smaller that are not answered in time', async () => {
    proxy = await startChromaProxy(server.url, ({ operation, ids }) =>
      operation === 'add' && ids.length > 20 ? 'lose' : undefined,
    );
    const writer = createSafeWriter({ client: clientOf(proxy.url), deadlineMs: 400 });
    expect(await writer.index('slow', records(0, 60))).toMatchObject({ added: 60, equal: 0 });
    expect((await stored('slow')).size).toBe(60);
  });

  test('an abort ends it', async () => {
    const abort = new AbortController();
    const writer = createSafeWriter({ client: server.client, onEvent: () => abort.abort() });
    const given = writer.index('aborted', records(0, 10), { signal: abort.signal });
    await expect(given).rejects.toMatchObject({ code: 'INTERRUPTED' });
  });

  test('protects the store that it writes to: a pinned snapshot before, and a check after', async () => {
    const agent = createSyncAgent({ store: join(root, 'store'), remote: `file://${join(root, 'remote')}` });
    const writer = createSafeWriter({ client: server.client, agent });
    expect((await writer.index('protected', records(0, 5), { protect: true })).added).toBe(5);
    const [snapshot, ...others] = await agent.list();
    expect(others).toEqual([]);
    const shown = await agent.show(snapshot?.id ?? '');
    expect(shown.pin?.reason).toBe('before "index protected"');
    expect(shown.statistics?.collections?.some(({ name }) => name === 'protected')).toBe(false);
    const logged = (await agent.operationLog()).map((each) => [each.operation, each.name, each.state]);
    expect(logged).toContainEqual(['protect', 'index protected', 'done']);
    const bare = createSafeWriter({ client: server.client });
    await expect(bare.index('protected', [], { protect: true })).rejects.toMatchObject({ code: 'USAGE' });
  });

  test('refuses what is no client', () => {
    expect(() => createSafeWriter({ client: {} as ChromaClient })).toThrow('it has no "getMaxBatchSize"');
    expect(() => createSafeWriter({ client: server.client, memoryThreshold: 80 })).toThrow('threshold');
    expect(() => createSafeWriter({ client: server.client, deadlineMs: 0 })).toThrow('deadline');
  });

  const limitBytes = 400 * 2 ** 20;
  const group = process.platform === 'linux' ? makeMemoryCgroup(limitBytes) : undefined;
  afterAll(async () => {
    await server.stop();
    group?.remove();
  });
  if (group === undefined) process.stderr.write('\nNOT TRIED here: a real cgroup, which cannot be made\n\n');

  // Not skipped: the same is read from files of every form in test/unit/platform/memory-use.test.ts.
  if (group !== undefined)
    test("waits while the server's own cgroup is full, and goes on when there is room", async () => {
      group.add(server.pid);
      const hog = spawn(process.execPath, ['-e', hogScript], { stdio: ['pipe', 'pipe', 'inherit'] });
      const ended = once(hog, 'exit');
      group.add(hog.pid ?? 0);
      try {
        hog.stdin.write(`${limitBytes * 0.9}\n`);
        await once(hog.stdout, 'data');
        const events: AgentEvent[] = [];
        const writer = createSafeWriter({
          client: server.client,
          serverUrl: server.url,
          onEvent: (event) => {
            events.push(event);
            if (event.type === 'warning') hog.stdin.end();
          },
        });
        const result = await writer.index('pressed', records(0, 20));
        expect(result.added).toBe(20);
        expect(result.pausedMs).toBeGreaterThan(0);
        expect(events.find(({ type }) => type === 'warning')).toMatchObject({
          message: expect.stringMatching(
            /^the cgroup ".*sync-agent-test-.*" uses [89]\d % of its memory/,
          ) as string,
        });
      } finally {
        hog.kill('SIGKILL');
        await ended;
      }
    });
});

/** Takes memory until so much of its group is used, and keeps it until its input ends. */
const hogScript = `
  const { readFileSync } = require('node:fs');
  const line = readFileSync('/proc/self/cgroup', 'utf8').split('\\n');
  const held = [];
  process.stdin.once('data', (wanted) => {
    const v1 = line.find((each) => each.split(':')[1] === 'memory');
    const v2 = line.find((each) => each.startsWith('0::'));
    const used = v1 === undefined
      ? '/sys/fs/cgroup' + v2.split(':')[2] + '/memory.current'
      : '/sys/fs/cgroup/memory' + v1.split(':')[2] + '/memory.usage_in_bytes';
    while (Number(readFileSync(used, 'utf8')) < Number(wanted)) held.push(Buffer.alloc(4 * 2 ** 20, 1));
    process.stdout.write('full\\n');
  });
  process.stdin.on('end', () => process.exit());
`;
