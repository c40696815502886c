import { mkdtempSync, rmSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { ServerAnalysis } from '../../src/index.ts';
import { createAgent } from '../../src/in-process/create-agent.ts';
import { startBuiltCli } from '../support/built-cli.ts';
import { startChromaProxy } from '../support/chroma-proxy.ts';
import type { ChromaProxy } from '../support/chroma-proxy.ts';
import { chromaAvailable, startChromaServer } from '../support/chroma-server.ts';
import type { ChromaServer } from '../support/chroma-server.ts';
import { readDocument } from '../support/documents.ts';

const root = mkdtempSync(join(tmpdir(), 'analyze-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const agent = createAgent({ store: join(root, 'elsewhere'), remote: '' });
const prefix = 'sync-agent-analyze-';

describe.skipIf(chromaAvailable() !== undefined)('analyze, on a real server', () => {
  let server: ChromaServer;
  let proxy: ChromaProxy | undefined;
  beforeAll(async () => {
    server = await startChromaServer({ path: join(root, 'store') });
    await server.client.createCollection({ name: 'mine', embeddingFunction: null });
  });
  afterAll(() => server.stop());
  afterEach(async () => {
    await proxy?.close();
    proxy = undefined;
  });
  const names = async (): Promise<readonly string[]> =>
    (await server.client.listCollections()).map(({ name }) => name).toSorted();

  test('measures batches, memory and queries, recommends a size, and leaves nothing', async () => {
    const printed = 'sync-agent analyze --chroma http://127.0.0.1:8000';
    expect(readDocument('docs/commands.md')).toContain(printed);
    const args = printed.replace('8000', String(server.port)).split(' ').slice(1);
    const { stdout, exitCode } = await startBuiltCli([...args, '--dimension', '16', '--json']).done;
    expect(exitCode).toBe(0);
    const found = JSON.parse(stdout) as ServerAnalysis;
    expect(found.batches.map(({ records }) => records)).toEqual([1, 10, 50, 100, 250, 500, 1000].slice(0, found.batches.length)); // prettier-ignore
    expect(found.stopped === null).toBe(found.batches.length === 7);
    for (const { addMs, medianMs, slowestMs, recordsPerSecond, serverBytes, memory } of found.batches) {
      expect(addMs).toBeGreaterThan(0);
      expect(medianMs).toBeGreaterThanOrEqual(addMs);
      expect(slowestMs).toBeGreaterThanOrEqual(medianMs);
      expect(recordsPerSecond).toBeGreaterThan(0);
      if (process.platform !== 'linux') continue;
      expect(serverBytes).toBeGreaterThan(10 * 2 ** 20);
      expect(memory?.usedBytes).toBeGreaterThan(0);
    }
    expect(found.query.medianMs).toBeGreaterThan(0);
    expect(found.batches.map(({ records }) => records)).toContain(found.recommendation.batchSize);
    expect(found.leftovers).toBe(0);
    expect(await names()).toEqual(['mine']);
  });

  test('removes its collection when the server fails, and when it is interrupted', async () => {
    proxy = await startChromaProxy(server.url, ({ operation, ids }) =>
      operation === 'add' && ids.length === 50 ? 'fail' : undefined,
    );
    await expect(agent.analyzeServer({ chroma: proxy.url, dimension: 4 })).rejects.toMatchObject({
      code: 'REMOTE_UNREACHABLE',
    });
    expect(await names()).toEqual(['mine']);

    await proxy.close();
    // The answer that the collection was made.
    proxy = await startChromaProxy(server.url, ({ operation }) =>
      operation === 'collections' ? 'cut' : undefined,
    );
    const unheard = agent.analyzeServer({ chroma: proxy.url, dimension: 4 });
    await expect(unheard).rejects.toMatchObject({ code: 'REMOTE_UNREACHABLE' });
    expect(await names()).toEqual(['mine']);

    const abort = new AbortController();
    const aborted = createAgent(
      { store: join(root, 'elsewhere'), remote: '' },
      {
        emit: (event) => {
          if (event.type === 'progress' && event.done > 0) abort.abort();
        },
      },
    );
    const given = aborted.analyzeServer({ chroma: server.url, dimension: 4, signal: abort.signal });
    await expect(given).rejects.toMatchObject({ code: 'INTERRUPTED' });
    expect(await names()).toEqual(['mine']);
  });

  test('Ctrl-C removes it, too; after a kill the next run does; those of others are left alone', async () => {
    const start = () => startBuiltCli(['analyze', '--chroma', server.url, '--dimension', '256', '--json']);
    const isThere = async (): Promise<void> => {
      while (!(await names()).some((name) => name.startsWith(prefix)));
    };
    const interrupted = start();
    await isThere();
    interrupted.child.kill('SIGINT');
    expect((await interrupted.done).exitCode).toBe(130);
    expect(await names()).toEqual(['mine']);

    const killed = start();
    await isThere();
    killed.child.kill('SIGKILL');
    await killed.done;
    const now = await (await fetch(`${server.url}/api/v2/heartbeat`)).json() as { readonly 'nanosecond heartbeat': number }; // prettier-ignore
    const owned = (host: string, pid: number, ageMs: number) => ({
      sync_agent_host: host,
      sync_agent_pid: pid,
      sync_agent_process: '',
      sync_agent_began_ms: Math.round(now['nanosecond heartbeat'] / 1e6 - ageMs),
    });
    const scratch = async (name: string, metadata?: ReturnType<typeof owned>) =>
      server.client.createCollection({ name, embeddingFunction: null, ...(metadata === undefined ? {} : { metadata }) }); // prettier-ignore
    await scratch(`${prefix}unmarked`);
    await scratch(`${prefix}running`, owned(hostname(), process.pid, 0));
    await scratch(`${prefix}elsewhere`, owned('another-host', 1, 60_000));
    await scratch(`${prefix}old`, owned('another-host', 1, 60 * 60_000));
    const { leftovers } = await agent.analyzeServer({
      chroma: server.url,
      dimension: 4,
      memoryThreshold: 0.001,
    });
    expect(leftovers).toBe(2);
    expect(await names()).toEqual(['mine', `${prefix}elsewhere`, `${prefix}running`, `${prefix}unmarked`].toSorted()); // prettier-ignore
  });

  test.runIf(process.platform === 'linux')('stops when memory is short', async () => {
    const found = await agent.analyzeServer({ chroma: server.url, dimension: 4, memoryThreshold: 0.001 });
    expect(found).toMatchObject({ stopped: 'memory', batches: [{ records: 1 }] });
  });
});
