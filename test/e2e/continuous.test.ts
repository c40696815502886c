import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once, setMaxListeners } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AgentEvent, DaemonEvent } from '../../src/platform/events.ts';
import { buildCli } from '../support/built-cli.ts';
import { forkBusyWriter } from '../support/busy-writer-process.ts';
import { chromaAvailable, startChromaServer } from '../support/chroma-server.ts';
import { churned, startCollectionChurn } from '../support/collection-churn.ts';
import { checkRestored, describeFindings } from '../support/oracle.ts';

const execFileAsync = promisify(execFile);
const seed = Number(process.env['SYNC_AGENT_TEST_SEED'] ?? Date.now() % 1e6);
console.log(`seed ${seed}`);

type Event = (AgentEvent | DaemonEvent) & { readonly time: string };

/** Those of a test, which end with it. */
const watchings = new Set<Watching>();

/** `watch --continuous` in a process group of its own, and what it logs. */
class Watching {
  readonly events: Event[] = [];
  readonly #child: ChildProcess;
  readonly #waiting = new Set<() => void>();

  constructor(store: string, remote: string, flags: readonly string[] = []) {
    const args = ['watch', '--store', store, '--remote', remote, '--http', 'off', '--continuous=500ms'];
    this.#child = spawn(
      process.execPath,
      [buildCli(), ...args, '--log-format', 'json', '--verbose', ...flags],
      {
        detached: true,
        stdio: ['ignore', 'ignore', 'pipe'],
      },
    );
    watchings.add(this);
    if (this.#child.stderr === null) throw new Error('no stderr');
    createInterface({ input: this.#child.stderr }).on('line', (line) => {
      if (!line.startsWith('{')) return;
      this.events.push(JSON.parse(line) as Event);
      for (const wake of this.#waiting) wake();
    });
  }

  count(type: Event['type']): number {
    return this.events.filter((event) => event.type === type).length;
  }

  async until(condition: () => boolean): Promise<void> {
    const deadline = AbortSignal.timeout(60_000);
    setMaxListeners(0, deadline);
    while (!condition())
      await new Promise<void>((resolve, reject) => {
        const wake = (): void => {
          this.#waiting.delete(wake);
          resolve();
        };
        this.#waiting.add(wake);
        deadline.addEventListener('abort', () => reject(new Error(`in vain: ${this.told()}`)), {
          once: true,
        });
      });
  }

  /** Nothing has broken the log since it was last said to be followed. */
  get isFollowing(): boolean {
    return (
      this.events.findLast(({ type }) => type === 'log-following' || type === 'log-broken')?.type ===
      'log-following'
    );
  }

  /** Whether a segment began after this time: what was written before it is in it, or in one before it. */
  hasSaved(atMs: number): boolean {
    return this.events.some(
      (event) => event.type === 'log-shipped' && Date.parse(event.time) - event.lagMs > atMs,
    );
  }

  /** For a failure: what became of the log. */
  told(): string {
    return this.events
      .filter(
        ({ type }) =>
          type.startsWith('log-') || ['committed', 'operation-started', 'operation-failed'].includes(type),
      )
      .map((event) => JSON.stringify(event))
      .join('\n');
  }

  /** All processes of it at once, as when the machine vanishes. */
  kill(): void {
    try {
      process.kill(-(this.#child.pid ?? 0), 'SIGKILL');
    } catch {
      // It is gone.
    }
  }

  async stop(): Promise<number> {
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    const [code] = (await ended) as [number];
    return code;
  }
}

let root: string;
let remote: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'sync-agent-continuous-'));
  remote = pathToFileURL(join(root, 'remote')).href;
});
afterEach(() => {
  for (const each of watchings) each.kill();
  watchings.clear();
  rmSync(root, { recursive: true, force: true, maxRetries: 20 });
});

interface Listed {
  readonly id: string;
  readonly pin?: { readonly reason: string };
}

/** The JSON that a command answers with. */
const run = (store: string, ...args: readonly string[]): Promise<Record<string, unknown>> =>
  runOn(remote, store, ...args);
async function runOn(
  from: string,
  store: string,
  ...args: readonly string[]
): Promise<Record<string, unknown>> {
  const flags = ['--store', store, '--remote', from, '--json'];
  const { stdout } = await execFileAsync(process.execPath, [buildCli(), ...args, ...flags]);
  return JSON.parse(stdout) as Record<string, unknown>;
}

describe.skipIf(chromaAvailable() !== undefined)('a store whose writes are saved one by one', () => {
  it('has every write but those of the last second after machine and disk are gone, whatever snapshots were made meanwhile', async () => {
    const gaps: string[] = [];
    // Churn with so low a threshold may purge before a busy machine reads. Then a snapshot is on its way, and there is nothing to compare.
    while (gaps.length < 3) {
      const gap = await loseMachine(`${gaps.length}`);
      if (gap === undefined) return;
      gaps.push(gap);
      console.log(`a gap just before the end: ${gap}`);
    }
    throw new Error(`three times a gap just before the end:\n${gaps.join('\n\n')}`);
  });

  /** Resolves to what was told if the log had a gap at the end; undefined if all was there. */
  async function loseMachine(name: string): Promise<string | undefined> {
    const store = join(root, name, 'store');
    const remoteOfTry = pathToFileURL(join(root, name, 'remote')).href;
    const server = await startChromaServer({ path: store });
    const watching = new Watching(store, remoteOfTry);
    const writer = await forkBusyWriter({ port: server.port, seed, pauseMs: 20 });
    const churn = startCollectionChurn(server.port, { pauseMs: 400 });
    const force = () =>
      execFileAsync(process.execPath, [
        buildCli(),
        'backup',
        '--force',
        '--store',
        store,
        '--remote',
        remoteOfTry,
      ]);
    /** The agent makes snapshots, too: after each gap. */
    const backUp = async (): Promise<void> => {
      const finished = watching.count('operation-finished');
      try {
        await force();
      } catch (error) {
        if (!String(error).includes('is working on it')) throw error;
        await watching.until(() => watching.count('operation-finished') > finished);
      }
    };
    await watching.until(() => watching.count('operation-finished') > 0);
    for (let snapshot = 0; snapshot < 3; snapshot += 1) {
      await sleep(300);
      await backUp();
    }
    await sleep(300);
    // The machine is gone before or after its commit, and takes it along.
    const last = force();
    const ended = last.catch(() => undefined);
    const safe = await writer.checkpoint();
    const safeAtMs = Date.now();
    await sleep(1500);
    // A slow machine may be late.
    await watching.until(() => !watching.isFollowing || watching.hasSaved(safeAtMs));
    const { isFollowing } = watching;
    watching.kill();
    last.child.kill('SIGKILL');
    await server.stop('SIGKILL');
    await ended;
    await writer.stop();
    await churn.stop().catch(() => undefined);
    const end = await writer.checkpoint();
    const restored = join(root, name, 'elsewhere');
    const { log, id } = await runOn(remoteOfTry, restored, 'restore');
    // The last snapshot may have been committed after the last segment.
    const hasLog = watching.events.some((event) => event.type === 'log-shipped' && event.snapshot === id);
    if (hasLog) expect(log, watching.told()).toMatchObject({ segments: expect.any(Number) as number });
    if (!isFollowing) return watching.told();
    const findings = await checkRestored(restored, await writer.expectation(safe, end), { passing: churned });
    expect(describeFindings(findings), watching.told()).toBe('no findings');
    return undefined;
  }

  it('goes to another host, which goes on with the same log, and back to the first one with its old disk', async () => {
    const [first, second] = [join(root, 'first'), join(root, 'second')];
    let server = await startChromaServer({ path: first });
    let watching = new Watching(first, remote);
    const add = async (from: number): Promise<void> => {
      const notes = await server.client.getOrCreateCollection({ name: 'notes', embeddingFunction: null });
      const ids = Array.from({ length: 10 }, (_, i) => `note-${from + i}`);
      await notes.upsert({ ids, embeddings: ids.map((_, i) => [from, i, 1]), documents: ids });
    };
    await watching.until(() => watching.count('log-following') > 0);
    // To see each change of a file would cost more than to read the writes.
    expect(watching.events).toContainEqual(expect.objectContaining({ type: 'watching', by: 'polling' }));
    await add(0);
    expect(await run(first, 'flush')).toMatchObject({ type: 'flushed' });
    await add(10);
    await server.stop('SIGKILL');
    // A clean stop: the rest is one segment, not a snapshot.
    expect(await watching.stop()).toBe(0);
    expect(watching.count('committed'), watching.told()).toBe(1);

    expect(await run(second, 'restore')).toMatchObject({ type: 'restored' });
    server = await startChromaServer({ path: second });
    watching = new Watching(second, remote);
    await watching.until(() => watching.count('log-following') > 0);
    expect(watching.count('log-broken'), watching.told()).toBe(0);
    await add(20);
    await run(second, 'flush');
    watching.kill();
    await server.stop('SIGKILL');

    expect(await run(first, 'restore')).toMatchObject({
      type: 'restored',
      why: expect.stringContaining('log') as string,
    });
    server = await startChromaServer({ path: first });
    const notes = await server.client.getCollection({ name: 'notes' });
    expect(await notes.count()).toBe(30);
    await server.stop('SIGKILL');
    expect(await run(first, 'restore')).toMatchObject({ type: 'equal' });
  });

  it('goes back to a moment before somebody deleted a collection, and stays there', async () => {
    const store = join(root, 'store');
    let server = await startChromaServer({ path: store });
    let watching = new Watching(store, remote);
    await watching.until(() => watching.count('log-following') > 0);
    const make = async (name: string): Promise<void> => {
      const made = await server.client.createCollection({ name, embeddingFunction: null });
      await made.add({
        ids: ['a', 'b'],
        embeddings: [
          [1, 2],
          [3, 4],
        ],
        documents: ['one', 'two'],
      });
    };
    await make('kept');
    await make('deleted');
    await run(store, 'flush');
    const moment = new Date().toISOString();
    await server.client.deleteCollection({ name: 'deleted' });
    await make('later');
    await run(store, 'flush');
    await server.stop('SIGKILL');
    expect(await watching.stop()).toBe(0);

    expect(await run(store, 'restore', '--at', moment)).toMatchObject({ type: 'restored' });
    expect(await run(store, 'restore')).toMatchObject({ type: 'ahead' });
    server = await startChromaServer({ path: store });
    const names = async (): Promise<readonly string[]> =>
      (await server.client.listCollections()).map(({ name }) => name).toSorted();
    expect(await names()).toEqual(['deleted', 'kept']);
    const deleted = await server.client.getCollection({ name: 'deleted' });
    expect((await deleted.query({ queryEmbeddings: [[3, 4]], nResults: 1 })).documents).toEqual([['two']]);
    // From now on the chosen moment is what counts.
    watching = new Watching(store, remote);
    await watching.until(() => watching.count('log-following') > 0);
    await server.stop('SIGKILL');
    expect(await watching.stop()).toBe(0);
    expect(await run(join(root, 'elsewhere'), 'restore')).toMatchObject({ type: 'restored' });
    server = await startChromaServer({ path: join(root, 'elsewhere') });
    expect(await names()).toEqual(['deleted', 'kept']);
    await server.stop('SIGKILL');
  });

  it('keeps the writes of both when two hosts went on from the same moment, and tells', async () => {
    const hosts = ['first', 'second'].map((name) => join(root, name));
    const [first = '', second = ''] = hosts;
    const seedServer = await startChromaServer({ path: first });
    let watching = new Watching(first, remote);
    await watching.until(() => watching.count('log-following') > 0);
    await seedServer.stop('SIGKILL');
    expect(await watching.stop()).toBe(0);
    await run(second, 'restore');
    const work = async (store: string, name: string): Promise<string> => {
      const server = await startChromaServer({ path: store });
      watching = new Watching(store, remote);
      await watching.until(() => watching.count('log-following') > 0 || watching.count('log-broken') > 0);
      const made = await server.client.createCollection({ name, embeddingFunction: null });
      await made.add({ ids: [name], embeddings: [[1, 2]], documents: [name] });
      await watching.until(() => watching.count('log-following') > 0);
      await run(store, 'flush');
      await server.stop('SIGKILL');
      await watching.stop();
      return watching.told();
    };
    await work(first, 'of-first');
    // It began where the first one began, too, and finds the number taken.
    const told = await work(second, 'of-second');
    const { snapshots } = (await run(first, 'list')) as { readonly snapshots?: readonly Listed[] };
    const listed = snapshots ?? ((await run(first, 'list')) as unknown as readonly Listed[]);
    expect(listed, told).toMatchObject([
      { pin: { reason: expect.stringContaining('another host') as string } },
      {},
    ]);
    const parent = listed[0]?.id ?? '';
    await run(
      join(root, 'a'),
      'restore',
      '--to',
      join(root, 'of-first'),
      '--snapshot',
      parent,
      '--at',
      'now',
    );
    await run(join(root, 'b'), 'restore', '--to', join(root, 'of-second'));
    for (const name of ['of-first', 'of-second']) {
      const server = await startChromaServer({ path: join(root, name) });
      const names = (await server.client.listCollections()).map((each) => each.name);
      expect(names, told).toContain(name);
      await server.stop('SIGKILL');
    }
  });
});
