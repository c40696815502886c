import { execFile, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { locateHome, notifyPath } from '../../src/home/home.ts';
import { lockAgent } from '../../src/home/lock.ts';
import { createAgent } from '../../src/in-process/create-agent.ts';
import { nodeFileSystem } from '../../src/platform/file-system.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { buildCli, startBuiltCli } from '../support/built-cli.ts';
import { startChromaProxy } from '../support/chroma-proxy.ts';
import type { ChromaProxy, ChromaRequest } from '../support/chroma-proxy.ts';
import { chromaAvailable, startChromaServer } from '../support/chroma-server.ts';
import type { ChromaServer } from '../support/chroma-server.ts';
import { readDocument, repository } from '../support/documents.ts';
import { runProgram } from '../support/packed.ts';
import { vectorOf } from '../support/records.ts';
import { serverRecords } from '../support/server-records.ts';

const root = mkdtempSync(join(tmpdir(), 'index-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let made = 0;
const fresh = (): string => join(root, String(made++));
const agent = createAgent({ store: fresh(), remote: '' });

const spec = { name: 'docs', space: 'l2', dimension: 8 } as const;
interface Line {
  readonly id: string;
  readonly embedding: readonly number[];
  readonly document?: string | null;
  readonly metadata?: object | null;
}
const line = (n: number, more: Partial<Line> = {}): Line => ({
  id: `r${n}`,
  embedding: vectorOf(spec, n),
  document: `document ${n}`,
  metadata: { n, half: n / 2 },
  ...more,
});
const lines = (from: number, to: number): readonly Line[] =>
  Array.from({ length: to - from }, (_, i) => line(from + i));
const textOf = (records: readonly Line[]): string =>
  records.map((each) => `${JSON.stringify(each)}\n`).join('');
function fileOf(records: readonly Line[], ending = '.jsonl'): string {
  const path = `${fresh()}${ending}`;
  const text = textOf(records);
  writeFileSync(path, ending.endsWith('.gz') ? gzipSync(text) : text);
  return path;
}
/** What a server has to have of these. */
const expected = (records: readonly Line[]): readonly (readonly [string, object])[] =>
  records
    .map(
      ({ id, embedding, document = null, metadata = null }) =>
        [id, { embedding: Float32Array.from(embedding), document, uri: null, metadata }] as const,
    ) // prettier-ignore
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
const stored = async ({ url }: ChromaServer, name: string): Promise<readonly (readonly [string, object])[]> =>
  [...(await serverRecords(url, name))].toSorted(([a], [b]) => (a < b ? -1 : 1));

const execute = promisify(execFile);
const blocksOf = (path: string, heading: string, language: string): readonly string[] => {
  const text = readDocument(path);
  const section = text.slice(text.indexOf(heading)).split(/^## /m)[1] ?? '';
  return [...section.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map(
    ([, block = '']) => block,
  );
};
/** With the port on which the server listens. */
const at = ({ port }: ChromaServer, block = ''): string => block.replaceAll('8000', String(port));

describe.skipIf(chromaAvailable() !== undefined)('index, on a real server', () => {
  let server: ChromaServer;
  let into: { readonly chroma: string };
  let proxy: ChromaProxy | undefined;
  beforeAll(async () => {
    server = await startChromaServer({ path: fresh() });
    into = { chroma: server.url };
  });
  afterAll(() => server.stop());
  afterEach(async () => {
    await proxy?.close();
    proxy = undefined;
  });
  const proxied = async (faultOf: Parameters<typeof startChromaProxy>[1]): Promise<ChromaProxy> =>
    (proxy = await startChromaProxy(server.url, faultOf));
  const writes = (requests: readonly ChromaRequest[]): readonly string[] =>
    requests.flatMap(({ operation, ids }) => (operation === 'add' || operation === 'upsert' ? ids : []));

  test('brings every record, and sends nothing a second time', async () => {
    const { url, requests } = await proxied(() => undefined);
    const file = fileOf(lines(0, 300), '.jsonl.gz');
    const options = { chroma: url, collection: 'first' };
    expect(await agent.indexFile(file, options)).toMatchObject({ added: 300, equal: 0, isNew: true });
    expect(await stored(server, 'first')).toEqual(expected(lines(0, 300)));
    expect(writes(requests)).toHaveLength(300);
    expect(await agent.indexFile(file, options)).toMatchObject({ added: 0, equal: 300, isNew: false });
    expect(writes(requests)).toHaveLength(300);
  });

  test('changes records in place: what they lose goes, and others are not touched', async () => {
    const options = { ...into, collection: 'changed' };
    await agent.indexFile(fileOf(lines(0, 5)), options);
    const changed = [
      line(1, { metadata: { half: 7.5, words: ['a', 'b'] } }),
      line(2, { document: null, metadata: null }),
      line(3, { embedding: vectorOf(spec, 99) }),
    ];
    expect(await agent.indexFile(fileOf(changed), options)).toMatchObject({ added: 0, overwritten: 3 });
    const [first, , , , last] = lines(0, 5);
    expect(await stored(server, 'changed')).toEqual(expected([first, ...changed, last].flatMap((each) => each ?? []))); // prettier-ignore
  });

  test('sends nothing of a file with a wrong record, and names it', async () => {
    const wrong = [...lines(0, 200), line(200, { metadata: { 'chroma:document': null } })];
    const refused = agent.indexFile(fileOf(wrong), { ...into, collection: 'wrong' });
    await expect(refused).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringMatching(
        /^Cannot index line 201 of .*"metadata" has the key "chroma:document"/,
      ) as string,
    });
    await expect(serverRecords(server.url, 'wrong')).rejects.toThrow('404');
    const kept = await agent.indexFile(fileOf([...wrong, line(5)]), {
      ...into,
      collection: 'wrong',
      keepGoing: true,
    });
    expect(kept).toMatchObject({ added: 200, problems: [{ id: null }, { id: 'r5', message: expect.stringContaining('comes twice') as string }] }); // prettier-ignore
  });

  test('compares the dimension with that of the collection before anything is sent', async () => {
    const options = { ...into, collection: 'dimension' };
    await agent.indexFile(fileOf(lines(0, 1)), options);
    const other = fileOf([line(1), line(2, { embedding: [1, 2] })]);
    await expect(agent.indexFile(other, options)).rejects.toThrow('has 2 values, the collection has 8');
    expect((await serverRecords(server.url, 'dimension')).size).toBe(1);
  });

  test('brings vectors of every length that a cosine collection can keep, and refuses the others', async () => {
    await server.client.createCollection({
      name: 'cosine',
      configuration: { hnsw: { space: 'cosine' } },
      embeddingFunction: null,
    });
    const options = { ...into, collection: 'cosine' };
    const lengths = [0, 1e-14, 1e-6, 1, 1e9, 9e17];
    const vectors = lengths.map((length, n) => line(n, { embedding: [0.6 * length, 0.8 * length] }));
    const result = await agent.indexFile(fileOf(vectors), options);
    expect(result.added).toBe(lengths.length);
    expect(result.rounding).toBeLessThan(5e-7);
    for (const length of [1e-20, 2e19]) {
      const refused = agent.indexFile(fileOf([line(9, { embedding: [length, length] })]), options);
      await expect(refused).rejects.toThrow('too long or too short for a cosine collection');
    }
  });

  test('makes batches smaller that are not answered in time, and sends none twice that arrived', async () => {
    // Larger ones arrive, but nobody hears of it.
    const { url, requests } = await proxied(({ operation, ids }) =>
      operation === 'add' && ids.length > 20 ? 'lose' : undefined,
    );
    const result = await agent.indexFile(fileOf(lines(0, 120)), {
      chroma: url,
      collection: 'slow',
      deadlineMs: 400,
    });
    expect(result).toMatchObject({ added: 120, equal: 0, overwritten: 0 });
    const sent = writes(requests);
    expect(new Set(sent).size).toBe(sent.length);
    expect(await stored(server, 'slow')).toEqual(expected(lines(0, 120)));
  });

  test('gives a server up that never answers, after three deadlines', async () => {
    const { url, requests } = await proxied(({ operation }) => (operation === 'add' ? 'hang' : undefined));
    const given = agent.indexFile(fileOf(lines(0, 100)), {
      chroma: url,
      collection: 'silent',
      deadlineMs: 300,
    });
    await expect(given).rejects.toMatchObject({
      code: 'REMOTE_UNREACHABLE',
      message: expect.stringContaining('no complete answer in 300 ms') as string,
      remedy: expect.stringContaining('it goes on where it stopped') as string,
    });
    expect(requests.filter(({ operation }) => operation === 'add').map(({ ids }) => ids.length)).toEqual([50, 25, 13]); // prettier-ignore
  });

  test('with undo deletes what it added when it fails, and nothing that was there or was changed since', async () => {
    const options = { collection: 'undone', undo: true };
    await agent.indexFile(fileOf(lines(0, 10)), { ...into, ...options });
    let others: Promise<unknown> | undefined;
    const { url } = await proxied(({ operation, ids }) => {
      if (operation !== 'add' || !ids.includes('r140')) return undefined;
      // Somebody else changes one that was added, and adds another.
      const theirs = fileOf([line(20, { document: 'theirs' }), line(300)]);
      others ??= agent.indexFile(theirs, { ...into, collection: 'undone' });
      return 'hang';
    });
    const input = fileOf([line(3, { document: 'changed' }), ...lines(10, 160)]);
    const failed = agent.indexFile(input, { chroma: url, deadlineMs: 500, ...options });
    await expect(failed).rejects.toMatchObject({
      code: 'REMOTE_UNREACHABLE',
      message: expect.stringMatching(/The \d+ records that it had added were deleted again$/) as string,
    });
    await others;
    const left = [
      ...lines(0, 10).map((each) => (each.id === 'r3' ? { ...each, document: 'changed' } : each)),
      line(20, { document: 'theirs' }),
      line(300),
    ];
    expect(await stored(server, 'undone')).toEqual(expected(left));
  });

  test('reads standard input, and an unreadable line of it ends it', async () => {
    const stdin = async (text: string): Promise<{ readonly code: number | null; readonly out: string }> => {
      const args = ['index', '-', '--collection', 'piped', '--chroma', server.url, '--json'];
      const child = spawn(process.execPath, [buildCli(), ...args], { cwd: root });
      let out = '';
      for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (each: string) => (out += each)); // prettier-ignore
      child.stdin.end(text);
      const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
      return { code, out };
    };
    expect(await stdin(textOf(lines(0, 60)))).toMatchObject({
      code: 0,
      out: expect.stringContaining('"added": 60') as string,
    });
    const broken = await stdin(`${textOf(lines(0, 61))}{"id":`);
    expect(broken.code).toBe(2);
    expect(broken.out).toContain('Cannot index line 62 of \\"-\\"');
    expect((await serverRecords(server.url, 'piped')).size).toBeLessThanOrEqual(61);
  });

  test('does what docs/records.md and docs/library.md print', async () => {
    const dir = fresh();
    mkdirSync(dir);
    writeFileSync(join(dir, 'records.jsonl'), textOf(lines(0, 3)));
    writeFileSync(join(dir, 'more.jsonl.gz'), gzipSync(textOf(lines(3, 5))));
    const printed = await startChromaServer({ path: join(dir, 'store') });
    try {
      const command = `sync-agent() { '${process.execPath}' '${buildCli()}' "$@"; }\nset -e\n`;
      const [block] = blocksOf('docs/records.md', '## Safe writing', 'bash');
      const output = await execute('bash', ['-c', command + at(printed, block)], { cwd: dir });
      expect(output.stdout).toContain('3 added');
      expect(output.stdout).toContain('2 added');
      const collection = await printed.client.getCollection({ name: 'docs' });
      expect(await collection.count()).toBe(5);
      await printed.client.deleteCollection({ name: 'docs' });

      const modules = join(dir, 'node_modules');
      mkdirSync(modules);
      symlinkSync(dirname(dirname(buildCli())), join(modules, 'sync-agent'));
      symlinkSync(join(repository, 'node_modules/chromadb'), join(modules, 'chromadb'));
      const [program] = blocksOf('docs/library.md', '## Writing to Chroma', 'js');
      const said = 'console.log({ added, equal, overwritten });';
      writeFileSync(join(dir, 'program.mjs'), at(printed, program) + said);
      const { stdout, stderr } = await runProgram(join(dir, 'program.mjs'));
      expect({ stdout, stderr }).toEqual({ stdout: '{ added: 1, equal: 0, overwritten: 0 }\n', stderr: '' });
    } finally {
      await printed.stop();
    }
  });

  test('tells the agent that runs beside the store', async () => {
    const store = fresh();
    mkdirSync(store);
    const home = await locateHome(store);
    const lock = await lockAgent(nodeFileSystem, home, { command: 'watch' });
    try {
      const beside = createAgent({ store, remote: '' });
      const before = Date.now() - 1000;
      await beside.indexFile(fileOf(lines(0, 3)), { ...into, collection: 'told' });
      expect(statSync(notifyPath(home)).mtimeMs).toBeGreaterThan(before);
    } finally {
      lock.release();
    }
  });

  test('a command that is killed stays open in the log, is run again, and each id is there once', async () => {
    const file = fileOf(lines(0, 2000));
    const store = fresh();
    mkdirSync(store);
    mkdirSync((await locateHome(store)).dir);
    const log = async () =>
      (await createAgent({ store, remote: '' }).operationLog()).map(
        (each) => `${each.operation} ${each.state}`,
      );
    const run = (batchSize: string) =>
      startBuiltCli(['index', file, '--collection', 'killed', '--chroma', server.url, '--batch-size', batchSize, '--store', store, '--json']); // prettier-ignore
    const first = run('20');
    const count = async (): Promise<number> => (await serverRecords(server.url, 'killed').catch(() => new Map())).size; // prettier-ignore
    while ((await count()) < 100);
    first.child.kill('SIGKILL');
    await first.done;
    const there = await count();
    expect(there).toBeLessThan(2000);
    expect(await log()).toEqual(['index open']);
    const { stdout, exitCode } = await run('500').done;
    expect(exitCode).toBe(0);
    expect(await log()).toEqual(['index open', 'index done']);
    // What is in flight at the kill still arrives.
    const { added, equal } = JSON.parse(stdout) as { readonly added: number; readonly equal: number };
    expect(equal).toBeGreaterThanOrEqual(there);
    expect(added + equal).toBe(2000);
    expect(await stored(server, 'killed')).toEqual(expected(lines(0, 2000)));
  });
});

test.skipIf(chromaAvailable() !== undefined)(
  'a server that is killed in the middle of an index: the next run completes it, each id once, and nothing old is lost',
  async () => {
    const path = fresh();
    let server = await startChromaServer({ path });
    const { port } = server;
    const old = lines(5000, 5100);
    const options = { chroma: server.url, collection: 'docs' };
    await agent.indexFile(fileOf([...old, line(7)]), options);
    const file = fileOf([...lines(0, 1500), line(5050, { document: 'newer' })]);
    // Retries without pauses.
    const failing = createAgent(
      { store: fresh(), remote: '' },
      {
        clock: { ...systemClock, sleep: async () => undefined },
        emit: (event) => {
          if (event.type === 'progress' && event.done >= 300) process.kill(server.pid, 'SIGKILL');
        },
      },
    );
    await expect(failing.indexFile(file, options)).rejects.toMatchObject({
      code: 'REMOTE_UNREACHABLE',
      remedy: expect.stringContaining('goes on where it stopped') as string,
    });
    server = await startChromaServer({ path, port });
    try {
      const there = (await serverRecords(server.url, 'docs')).size;
      expect(there).toBeGreaterThanOrEqual(400);
      const result = await agent.indexFile(file, options);
      // "r7" was there before.
      expect(result.equal).toBe(there - 100);
      expect(result).toMatchObject({ added: 1501 - result.equal - 1, overwritten: 1 });
      const all = [...lines(0, 1500), ...old.map((each) => (each.id === 'r5050' ? line(5050, { document: 'newer' }) : each))]; // prettier-ignore
      expect(await stored(server, 'docs')).toEqual(expected(all));
      const collection = await server.client.getCollection({ name: 'docs' });
      expect(await collection.count()).toBe(1600);
      const found = await collection.query({ queryEmbeddings: [vectorOf(spec, 700)], nResults: 1 });
      expect(found.ids).toEqual([['r700']]);
    } finally {
      await server.stop();
    }
  },
);
