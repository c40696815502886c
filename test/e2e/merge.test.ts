import { EventEmitter, once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Collection } from 'chromadb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Agent } from '../../src/api/agent.ts';
import { createAgent } from '../../src/in-process/create-agent.ts';
import type { AgentEvent } from '../../src/platform/events.ts';
import { chromaAvailable, startChromaServer } from '../support/chroma-server.ts';
import type { ChromaServer } from '../support/chroma-server.ts';
import { runCli } from '../support/cli.ts';
import { serverRecords } from '../support/server-records.ts';

/** A real server and an agent that saves each of its writes. */
interface FollowedHost {
  readonly agent: Agent;
  readonly server: ChromaServer;
  /** Makes a snapshot; what is written then goes into its log. */
  snapshot(): Promise<string>;
  stop(): Promise<void>;
}

let root: string;
let remote: string;
const hosts: FollowedHost[] = [];

async function startHost(name: string): Promise<FollowedHost> {
  const store = join(root, name);
  const events: AgentEvent[] = [];
  const bell = new EventEmitter();
  const emit = (event: AgentEvent): void => {
    events.push(event);
    bell.emit('event');
  };
  const agent = createAgent({ store, remote, host: name }, { emit });
  const restored = await agent.restore();
  const server = await startChromaServer({ path: store });
  const stopping = new AbortController();
  let following: Promise<unknown> | undefined;
  const until = async (isTrue: (event: AgentEvent) => boolean): Promise<void> => {
    const over = AbortSignal.timeout(90_000);
    while (!events.some(isTrue)) await once(bell, 'event', { signal: over });
  };
  const host: FollowedHost = {
    agent,
    server,
    snapshot: async () => {
      if (following === undefined) {
        following = agent.followLog({ intervalMs: 50, signal: stopping.signal });
        await until(({ type }) => type === 'log-broken');
      }
      const made = await agent.backup({ evenUnchanged: true });
      if (made.type !== 'committed') throw new Error(`expected a commit, found ${made.type}`);
      await until((event) => event.type === 'log-following' && event.snapshot === made.id);
      return made.id;
    },
    stop: async () => {
      stopping.abort();
      await following;
      await server.stop('SIGKILL');
    },
  };
  hosts.push(host);
  expect(restored.type).toBe(name === 'one' ? 'empty-remote' : 'restored');
  return host;
}

const textOf = async (server: ChromaServer, name = 'docs'): Promise<Record<string, string | null>> =>
  Object.fromEntries(
    [...(await serverRecords(server.url, name))].map(([id, { document }]) => [id, document]),
  );

describe.skipIf(chromaAvailable() !== undefined)('two hosts that went on from one position of a log', () => {
  let one: FollowedHost;
  let two: FollowedHost;
  let a: string;
  let b: string;
  const put = (collection: Collection, id: string, document: string): Promise<void> =>
    collection.upsert({ ids: [id], embeddings: [[id.length, document.length, 1]], documents: [document] });

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'sync-agent-merge-'));
    remote = pathToFileURL(join(root, 'remote')).href;
    one = await startHost('one');
    const docs = await one.server.client.createCollection({ name: 'docs', embeddingFunction: null });
    for (const id of ['kept', 'by-a', 'by-b', 'both', 'alike', 'gone-a', 'gone-b', 'fought'])
      await put(docs, id, 'base');
    await one.snapshot();
    // Into the log: the common position is behind the snapshot.
    await put(docs, 'by-b', 'of the log');
    await put(docs, 'late', 'of the log');
    await one.agent.flush();
    two = await startHost('two');
    expect(await textOf(two.server)).toMatchObject({ late: 'of the log' });

    const theirs = await two.server.client.getCollection({ name: 'docs' });
    // To what the snapshot itself has: without the log, nothing would seem to have changed.
    await put(theirs, 'by-b', 'base');
    await theirs.upsert({
      ids: ['new-b'],
      embeddings: [[0.1, 1 / 3, 1e-20]],
      documents: ['B'],
      metadatas: [{ whole: 5, half: 0.5 }],
      uris: ['file:///b'],
    });
    await put(theirs, 'both', 'of B');
    await put(theirs, 'alike', 'the same');
    await put(theirs, 'fought', 'of B');
    await theirs.delete({ ids: ['gone-b'] });
    const more = await two.server.client.createCollection({
      name: 'more',
      embeddingFunction: null,
      metadata: { why: 'only B' },
      configuration: { hnsw: { space: 'cosine' } },
    });
    await put(more, 'first', 'B');

    await put(docs, 'by-a', 'of A');
    await put(docs, 'both', 'of A');
    await put(docs, 'alike', 'the same');
    await docs.delete({ ids: ['gone-a', 'fought'] });
    a = await one.snapshot();
    await put(docs, 'log-a', 'only in the log of A');
    await one.agent.flush();
    const made = await two.agent.backup();
    if (made.type !== 'committed') throw new Error(`expected a commit, found ${made.type}`);
    b = made.id;
  }, 60_000);
  afterAll(async () => {
    await Promise.all(hosts.map((host) => host.stop()));
    await rm(root, { recursive: true, force: true });
  });

  it('are compared with their logs by diff --records', async () => {
    const { collections, from } = await one.agent.diffRecords({ snapshot: a }, { snapshot: b });
    expect(collections.find(({ name }) => name === 'docs')?.removed).toContain('log-a');
    expect(from).toMatch(/ with its log until 20/);
  });

  it('are merged only by a rule, after a snapshot, and to the same end when it is done again', async () => {
    const ofA = await textOf(one.server);
    const cli = (...flags: readonly string[]) =>
      runCli(['merge', a, b, '--chroma', one.server.url, '--json', ...flags], {
        cwd: root,
        env: { SYNC_AGENT_STORE: join(root, 'one'), SYNC_AGENT_REMOTE: remote },
      });
    const refused = await cli();
    expect(refused.exitCode).toBe(10);
    expect(JSON.parse(refused.stdout)).toMatchObject({
      type: 'refused',
      base: { operation: 10, isExact: true },
      problems: ['2 records were changed on both sides; choose with --prefer A, B or newest'],
      collections: expect.arrayContaining([
        expect.objectContaining({
          name: 'docs',
          written: ['by-b', 'new-b'],
          deleted: ['gone-b'],
          conflicts: [
            { id: 'both', ours: 'changed', theirs: 'changed', parts: ['document'], taken: null },
            { id: 'fought', ours: 'deleted', theirs: 'changed', parts: [], taken: null },
          ],
        }),
      ]) as unknown,
    });
    const planned = await cli('--prefer', 'b', '--dry-run');
    expect([planned.exitCode, (JSON.parse(planned.stdout) as { type: string }).type]).toEqual([0, 'planned']);
    expect(await textOf(one.server)).toEqual(ofA);

    const before = await one.agent.list();
    const merged = await one.agent.merge(a, b, { chroma: one.server.url, prefer: 'B' });
    expect(merged).toMatchObject({ type: 'merged', ours: a, theirs: b });
    expect(before.map(({ id }) => id)).not.toContain(merged.snapshot);
    expect((await one.agent.show(merged.snapshot ?? '')).pin).toMatchObject({ reason: 'before "merge"' });
    const expected = {
      kept: 'base',
      'by-a': 'of A',
      'by-b': 'base',
      both: 'of B',
      alike: 'the same',
      fought: 'of B',
      late: 'of the log',
      'new-b': 'B',
      'log-a': 'only in the log of A',
    };
    expect(await textOf(one.server)).toEqual(expected);
    const [mine, other] = [
      await serverRecords(one.server.url, 'docs'),
      await serverRecords(two.server.url, 'docs'),
    ];
    expect(mine.get('new-b')).toEqual(other.get('new-b'));
    const more = await one.server.client.getCollection({ name: 'more' });
    expect([more.metadata, more.configuration.hnsw?.space]).toEqual([{ why: 'only B' }, 'cosine']);
    expect(await textOf(one.server, 'more')).toEqual({ first: 'B' });

    const again = await one.agent.merge(a, b, { chroma: one.server.url, prefer: 'B' });
    expect(again).toMatchObject({ type: 'merged', snapshot: null });
    expect(await textOf(one.server)).toEqual(expected);
  });

  it('are not merged into a server that has something else, unless a person insists', async () => {
    const docs = await one.server.client.getCollection({ name: 'docs' });
    // A merge that was cut off in the middle: the rest is done.
    await docs.delete({ ids: ['new-b', 'kept'] });
    const refused = await one.agent.merge(a, b, { chroma: one.server.url, prefer: 'B' });
    expect(refused).toMatchObject({
      type: 'refused',
      differences: [{ name: 'docs', change: 'changed', ids: ['kept'] }],
    });
    // Where there is no store, A is what one can go back to.
    const elsewhere = createAgent({ store: join(root, 'nowhere'), remote, host: 'elsewhere' });
    const insisted = await elsewhere.merge(a, b, { chroma: one.server.url, prefer: 'newest', force: true });
    expect(insisted).toMatchObject({ type: 'merged', snapshot: a });
    expect((await elsewhere.show(a)).pin).toMatchObject({ reason: 'before "merge"' });
    await elsewhere.close();
    // The host of B made its snapshot last.
    expect(await textOf(one.server)).toMatchObject({ 'new-b': 'B', both: 'of B' });
    expect(await textOf(one.server)).not.toHaveProperty('kept');
  });
});
