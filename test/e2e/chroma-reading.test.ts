import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createAgent } from '../../src/in-process/create-agent.ts';
import {
  defaultDatabase,
  defaultTenant,
  openChromaServer,
} from '../../src/stores/chroma/server/chroma-server.ts';
import type { ServerCollection } from '../../src/stores/chroma/server/chroma-server.ts';
import { chromaAvailable, startChromaServer } from '../support/chroma-server.ts';
import type { ChromaServer } from '../support/chroma-server.ts';

const home = { tenant: defaultTenant, name: defaultDatabase };
const everything = ['embeddings', 'documents', 'metadatas', 'uris'] as const;

const containing = (text: string): unknown => expect.stringContaining(text);

async function listed<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

describe.skipIf(chromaAvailable() !== undefined)('a real Chroma server, read by its HTTP API', () => {
  let scratch: string;
  let server: ChromaServer;
  beforeAll(async () => {
    scratch = await mkdtemp(join(tmpdir(), 'sync-agent-reading-'));
    server = await startChromaServer({ path: join(scratch, 'store') });
    const collection = await server.client.createCollection({
      name: 'things',
      metadata: { about: 'reading', ratio: 2.5 },
      embeddingFunction: null,
      configuration: { hnsw: { space: 'cosine', ef_construction: 77 } },
    });
    await collection.add({
      ids: ['a', 'b'],
      embeddings: [
        [1 / 3, 1e-20, -5],
        [1, 2, 3],
      ],
      documents: ['first ], "', 'second'],
      metadatas: [{ list: [1, 2], text: 'x,]', flag: true, ratio: 1.5 }, { count: 7 }],
    });
    await collection.add({ ids: ['c'], embeddings: [[3, 2, 1]] });
  });
  afterAll(async () => {
    await server?.stop();
    await rm(scratch, { recursive: true, force: true });
  });
  const things = async (): Promise<ServerCollection> =>
    openChromaServer({ url: server.url }).collection(home, 'things');

  test('it beats, and says a version', async () => {
    const reader = openChromaServer({ url: `${server.url}/` });
    await reader.heartbeat();
    expect(await reader.version()).toMatch(/^\d+\.\d+\.\d+/);
    expect(reader.url).toBe(server.url);
  });

  test('collections come with configuration, schema and metadata as the server sent them, in pages', async () => {
    for (let index = 0; index < 105; index += 1)
      await server.client.createCollection({ name: `many-${index}`, embeddingFunction: null });
    const all = await listed(openChromaServer({ url: server.url }).collections(home));
    expect(new Set(all.map(({ name }) => name)).size).toBe(106);
    const found = all.find(({ name }) => name === 'things');
    expect(found).toMatchObject({
      id: (await things()).id,
      dimension: 3,
      tenant: home.tenant,
      database: home.name,
    });
    expect(JSON.parse(found?.metadata ?? '')).toEqual({ about: 'reading', ratio: 2.5 });
    expect(JSON.parse(found?.configuration ?? '')).toMatchObject({
      hnsw: { space: 'cosine', ef_construction: 77 },
    });
    expect(found?.schema).toContain('"#embedding"');
  });

  test('records come whole: exact vectors, documents, arrays, and nothing where there is nothing', async () => {
    const reader = openChromaServer({ url: server.url });
    const collection = await things();
    expect(await reader.count(collection)).toBe(3);
    const records = await reader.page(collection, { offset: 0, limit: 10 }, { include: everything });
    expect(records.map(({ id }) => id)).toEqual(['a', 'b', 'c']);
    const [a, , c] = records;
    // The server multiplies direction and length.
    for (const [index, value] of [1 / 3, 1e-20, -5].entries())
      expect(a?.embedding?.[index]).toBeCloseTo(value, 5);
    expect(a?.document).toBe('first ], "');
    expect(JSON.parse(a?.metadata ?? '')).toEqual({ list: [1, 2], text: 'x,]', flag: true, ratio: 1.5 });
    expect(c).toEqual({
      id: 'c',
      embedding: new Float32Array([3, 2, 1]),
      document: null,
      uri: null,
      metadata: null,
    });
    expect(
      (await reader.page(collection, { offset: 2, limit: 5 }, { include: [] })).map(({ id }) => id),
    ).toEqual(['c']);
  });

  test('by ids come those that exist, and none for no id', async () => {
    const reader = openChromaServer({ url: server.url });
    const collection = await things();
    const found = await reader.byIds(collection, ['c', 'nobody', 'a'], { include: ['embeddings'] });
    expect(Object.fromEntries(found.map(({ id, document }) => [id, document]))).toEqual({ a: null, c: null });
    expect(await reader.byIds(collection, [], { include: [] })).toEqual([]);
  });

  test('a floating-point number that is whole keeps its point', async () => {
    const collection = await things();
    const records = `${server.url}/api/v2/tenants/${home.tenant}/databases/${home.name}/collections/${collection.id}`;
    const added = await fetch(`${records}/add`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"ids":["n"],"embeddings":[[9,9,9]],"metadatas":[{"float":5.0,"int":5,"large":9007199254740993}]}',
    });
    expect(added.status).toBe(201);
    const reader = openChromaServer({ url: server.url });
    const [record] = await reader.byIds(collection, ['n'], { include: ['metadatas'] });
    expect(record?.metadata).toContain('"float":5.0');
    expect(record?.metadata).toMatch(/"int":5[,}]/);
    expect(record?.metadata).toContain('"large":9007199254740993');
  });

  test('a query finds the nearest; a vector of another dimension is USAGE', async () => {
    const reader = openChromaServer({ url: server.url });
    const collection = await things();
    expect(await reader.query(collection, new Float32Array([3, 2, 1]), 1)).toEqual(['c']);
    await expect(reader.query(collection, new Float32Array([1]), 1)).rejects.toMatchObject({
      code: 'USAGE',
      message: containing('expecting embedding with dimension of 3, got 1'),
    });
  });

  test('databases of a tenant; what does not exist is NOT_FOUND, not empty', async () => {
    const reader = openChromaServer({ url: server.url });
    expect(await reader.databases()).toEqual([home]);
    await expect(reader.databases(['nobody'])).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await reader.assertDatabase(home);
    await expect(reader.assertDatabase({ ...home, name: 'nothing' })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    await expect(reader.collection(home, 'nothing')).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: containing('"nothing"'),
    });
  });
});

describe('a server that does not answer as Chroma does', () => {
  const running: ReturnType<typeof createServer>[] = [];
  const serve = async (listener: RequestListener): Promise<string> => {
    const server = createServer(listener).listen(0, '127.0.0.1');
    running.push(server);
    await once(server, 'listening');
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  };
  afterEach(() => {
    for (const server of running.splice(0)) {
      server.closeAllConnections();
      server.close();
    }
  });

  test('nothing listens: REMOTE_UNREACHABLE, with the URL', async () => {
    const url = await serve(() => undefined);
    running.splice(0).forEach((server) => server.close());
    await expect(openChromaServer({ url }).heartbeat()).rejects.toMatchObject({
      code: 'REMOTE_UNREACHABLE',
      message: containing(`"${url}": nothing listens there`),
    });
  });

  test('only API v1: UNSUPPORTED, with the version', async () => {
    const url = await serve((request, response) => {
      const isOld = request.url === '/api/v1/version';
      response.writeHead(isOld ? 200 : 404).end(isOld ? '"0.4.24"' : '{"detail":"Not Found"}');
    });
    await expect(openChromaServer({ url }).heartbeat()).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: `Cannot talk to the Chroma server at "${url}": it is version 0.4.24, which has no API v2`,
    });
  });

  test('only API v1: an import and an export say so, and send nothing', async () => {
    const asked: string[] = [];
    const url = await serve((request, response) => {
      asked.push(`${request.method} ${request.url}`);
      const isOld = request.url === '/api/v1/version';
      response.writeHead(isOld ? 200 : 404).end(isOld ? '"0.4.24"' : '{"detail":"Not Found"}');
    });
    const dir = mkdtempSync(join(tmpdir(), 'sync-agent-v1-'));
    writeFileSync(join(dir, 'some.jsonl'), '{"id":"a","embedding":[1,2]}\n');
    const agent = createAgent({ store: join(dir, 'none'), remote: '' });
    const refused = { code: 'UNSUPPORTED', message: containing('it is version 0.4.24, which has no API v2') };
    try {
      await expect(agent.importFrom([join(dir, 'some.jsonl')], { chroma: url, as: 'x' })).rejects.toMatchObject(refused); // prettier-ignore
      await expect(agent.exportTo(join(dir, 'out'), { chroma: url })).rejects.toMatchObject(refused);
      expect(asked.filter((each) => !each.startsWith('GET '))).toEqual([]);
    } finally {
      await agent.close();
      rmSync(dir, { recursive: true });
    }
  });

  test('a server that lists no databases, as those before 1.0: the default one', async () => {
    const url = await serve((request, response) => {
      const isTenant = request.url === '/api/v2/tenants/default_tenant';
      response
        .writeHead(isTenant ? 200 : 405)
        .end(isTenant ? '{"name":"default_tenant"}' : '{"detail":"Method Not Allowed"}');
    });
    expect(await openChromaServer({ url }).databases()).toEqual([home]);
  });

  test('silence, and an answer that trickles, end at the deadline', async () => {
    const silent = await serve(() => undefined);
    const trickling = await serve((_, response) => {
      response.writeHead(200).write('"');
    });
    for (const url of [silent, trickling]) {
      await expect(openChromaServer({ url, timeoutMs: 50 }).version()).rejects.toMatchObject({
        code: 'REMOTE_UNREACHABLE',
        message: containing('no complete answer in 50 ms'),
      });
    }
  });

  test('an abort ends the wait', async () => {
    const abort = new AbortController();
    const url = await serve(() => abort.abort());
    await expect(openChromaServer({ url }).version({ signal: abort.signal })).rejects.toMatchObject({
      code: 'INTERRUPTED',
    });
  });

  test('another program is UNSUPPORTED, and its words are cut to one line', async () => {
    const url = await serve((_, response) => response.end('<html>\nhello'));
    await expect(openChromaServer({ url }).version()).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: containing(String.raw`"<html>\nhello" is not what a Chroma server says`),
    });
  });

  test.each([
    [401, 'DENIED'],
    [404, 'NOT_FOUND'],
    [422, 'USAGE'],
    [500, 'REMOTE_UNREACHABLE'],
    [302, 'UNSUPPORTED'],
  ])('status %i is %s', async (status, code) => {
    const url = await serve((_, response) =>
      response
        .writeHead(status, { location: '/' })
        .end('{"error":"InternalError","message":"bad\\u001b[31m\\n id"}'),
    );
    await expect(openChromaServer({ url }).version()).rejects.toMatchObject({
      code,
      message: `Cannot ask for the version of the Chroma server at "${url}": it answers ${status} (InternalError: bad [31m id)`,
    });
  });

  test('credentials in the URL are sent as a header, and shown in no message', async () => {
    let seen = '';
    const url = await serve((request, response) => {
      seen = request.headers.authorization ?? '';
      response.writeHead(403).end();
    });
    const secret = url.replace('//', '//me:s%C3%A9cret@');
    const failure = await openChromaServer({ url: secret }).version().catch(String);
    expect(Buffer.from(seen.replace('Basic ', ''), 'base64').toString()).toBe('me:sécret');
    expect(failure).not.toContain('cret');
  });

  test.each(['', 'localhost:8000', 'file:///x', 'http://h?x=1', 'http://me:hidden@h/#x'])(
    'the URL %j is USAGE',
    (url) => {
      expect(() => openChromaServer({ url })).toThrow(/Cannot use/);
      expect(() => openChromaServer({ url })).not.toThrow(/hidden/);
    },
  );
});
