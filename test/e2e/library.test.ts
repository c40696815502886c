import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import Database from 'better-sqlite3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/platform/clock.ts';
import type * as Library from '../../src/index.ts';
import type { SyncAgent, SyncAgentEvent, SyncAgentSettings } from '../../src/index.ts';
import { nodeFileSystem } from '../../src/platform/file-system.ts';
import { locateHome } from '../../src/home/home.ts';
import { lockStore } from '../../src/home/lock.ts';
import { importBuilt } from '../support/built-cli.ts';
import { installPacked, runProgram } from '../support/packed.ts';

// Compiled, as callers have it.
const { createSyncAgent } = await importBuilt<typeof Library>('index.js');

let root: string;
let store: string;
let settings: SyncAgentSettings;
let agents: SyncAgent[];

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'sync-agent-library-'));
  store = join(root, 'store');
  await mkdir(store);
  await writeFile(join(store, 'a'), 'one');
  settings = {
    store,
    remote: pathToFileURL(join(root, 'remote')).href,
    // Quick, and only when told.
    intervalMs: 100,
    settleMs: 20,
    detect: 'poll',
    pollIntervalMs: 60 * 60 * 1000,
  };
  agents = [];
});
afterEach(async () => {
  await Promise.all(agents.map((agent) => agent.stop({ budgetMs: 0 })));
  await rm(root, { recursive: true, force: true });
});

function agentOf(more: Partial<SyncAgentSettings> = {}): SyncAgent {
  const agent = createSyncAgent({ ...settings, ...more });
  agents.push(agent);
  return agent;
}

type Event<T extends SyncAgentEvent['type']> = Extract<SyncAgentEvent, { type: T }>;

function next<T extends SyncAgentEvent['type']>(
  agent: SyncAgent,
  type: T,
  isIt: (event: Event<T>) => boolean = () => true,
): Promise<Event<T>> {
  return new Promise((resolve) => {
    const end = agent.on((event) => {
      if (event.type !== type || !isIt(event as Event<T>)) return;
      end();
      resolve(event as Event<T>);
    });
  });
}

const committed = (agent: SyncAgent) =>
  next(agent, 'operation-finished', (event) => event.outcome === 'committed');

const filesOf = async (dir: string): Promise<readonly string[]> =>
  (await readdir(dir, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted();

describe('the package, as a program has it', () => {
  let app: string;

  beforeAll(async () => {
    app = await mkdtemp(join(tmpdir(), 'sync-agent-consumer-'));
    installPacked(app, ['@types/node', 'undici-types']);
  });
  afterAll(() => rm(app, { recursive: true, force: true }));

  /** Prints one line of JSON, and nothing ends it but itself. */
  const program = `
    const { mkdtemp, writeFile } = process.getBuiltinModule('node:fs/promises');
    const { join } = process.getBuiltinModule('node:path');
    const names = ['SIGINT', 'SIGTERM', 'SIGHUP', 'exit', 'beforeExit', 'uncaughtException', 'unhandledRejection', 'warning'];
    const listeners = () => names.map((name) => process.listenerCount(name)).join(' ');
    async function main() {
      const before = listeners();
      const root = await mkdtemp(join(process.argv[2], 'run-'));
      const store = join(root, 'store');
      const agent = createSyncAgent({
        store, remote: 'file:' + join(root, 'remote'), intervalMs: 100, settleMs: 20, detect: 'poll', pollIntervalMs: 3600000,
      });
      const restored = await agent.restore();
      await agent.start();
      await process.getBuiltinModule('node:fs/promises').mkdir(store, { recursive: true });
      await writeFile(join(store, 'a'), 'one');
      const finished = new Promise((resolve) => agent.on((event) => {
        if (event.type === 'operation-finished' && event.outcome === 'committed') resolve(event);
      }));
      agent.notify();
      const { snapshot } = await finished;
      const during = listeners();
      const saved = await agent.stop();
      const snapshots = await agent.list();
      console.log(JSON.stringify({
        restored: restored.type, saved, isListed: snapshots.some((each) => each.id === snapshot.id), isLeftAlone: before === during && before === listeners(),
      }));
    }
    // Node has listeners of its own while a module is evaluated.
    setImmediate(main);`;
  const said = {
    restored: 'empty-remote',
    saved: { isSaved: true, unsavedSinceMs: null },
    isListed: true,
    isLeftAlone: true,
  };

  it.each([
    ['ESM', 'program.mjs', `import { createSyncAgent } from 'sync-agent';`],
    ['CommonJS', 'program.cjs', `const { createSyncAgent } = require('sync-agent');`],
  ])(
    'works from %s: restore, start, notify, stop, list; silently, and the process ends',
    async (_, name, head) => {
      await writeFile(join(app, name), head + program);
      const { stdout, stderr, exitCode } = await runProgram(join(app, name), [root]);
      expect({ stderr, exitCode }).toEqual({ stderr: '', exitCode: 0 });
      expect(JSON.parse(stdout)).toEqual(said);
    },
  );

  it('has types for both', async () => {
    const use = `
      async function use(): Promise<void> {
        const agent: SyncAgent = createSyncAgent({ store: './store', remote: 's3://bucket/prefix', keepLast: 3 });
        const off: () => void = agent.on((event) => {
          if (event.type === 'operation-finished') console.log(event.requests.put, event.snapshot?.bytes);
          // @ts-expect-error of another event
          if (event.type === 'phase') console.log(event.requests);
        });
        const { signal } = new AbortController();
        const result = await agent.backup({ signal, allowShrink: true });
        if (result.type === 'committed') console.log(result.id.length, result.heldMs);
        // @ts-expect-error not in every result
        console.log(result.heldMs);
        await agent.start({ signal });
        const { isSaved }: { isSaved: boolean } = await agent.stop({ budgetMs: 1000, signal });
        off();
        const caught: unknown = isSaved;
        if (isSyncAgentError(caught, 'BUSY')) console.log(caught.remedy?.length);
        // @ts-expect-error no such code
        isSyncAgentError(caught, 'BUSSY');
        // @ts-expect-error no such setting
        createSyncAgent({ store: '.', remote: 's3://bucket', keepLatest: 3 });
      }
      void use;`;
    const names = `{ createSyncAgent, isSyncAgentError, type SyncAgent }`;
    await writeFile(join(app, 'use.mts'), `import ${names} from 'sync-agent';${use}`);
    await writeFile(join(app, 'use.cts'), `import ${names} from 'sync-agent';${use}`);
    const chroma = `
      import { createSyncAgent } from 'sync-agent';
      import { createSafeWriter, type ChromaClientLike, type IndexResult, type WriterRecord } from 'sync-agent/chroma';
      // That of the package "chromadb" is one: safe-writer.test.ts passes it. Its types do not pass a check as strict as this.
      declare const client: ChromaClientLike;
      async function write(): Promise<void> {
        const agent = createSyncAgent({ store: './store', remote: 's3://bucket/prefix' });
        const writer = createSafeWriter({ client, agent, onEvent: (event) => console.log(event.type) });
        const records: WriterRecord[] = [{ id: 'a', embedding: new Float32Array(3), metadata: { tags: ['x'] } }];
        const { added }: IndexResult = await writer.index('docs', records, { undo: true });
        await writer.index(await client.getCollection({ name: 'docs' }), new Set(records));
        console.log(added);
        // @ts-expect-error no date can be kept
        await writer.index('docs', [{ id: 'a', metadata: { when: new Date() } }]);
        // @ts-expect-error no such option
        createSafeWriter({ client, threshold: 1 });
      }
      void write;`;
    await writeFile(join(app, 'chroma.mts'), chroma);
    await writeFile(join(app, 'chroma.cts'), chroma);
    await writeFile(
      join(app, 'tsconfig.json'),
      JSON.stringify({
        compilerOptions: {
          target: 'es2023',
          module: 'nodenext',
          strict: true,
          exactOptionalPropertyTypes: true,
          // The package's own types are looked at, too.
          skipLibCheck: false,
          noEmit: true,
          types: ['node'],
        },
        files: ['use.mts', 'use.cts', 'chroma.mts', 'chroma.cts'],
      }),
    );
    const tsc = fileURLToPath(new URL('../../node_modules/typescript/bin/tsc', import.meta.url));
    expect(() => execFileSync(process.execPath, [tsc, '-p', app], { encoding: 'utf8' })).not.toThrow();
  });

  it('lets a program end whose agent did not start', async () => {
    const name = join(app, 'not-started.mjs');
    await writeFile(
      name,
      `import { createSyncAgent } from 'sync-agent';
       const agent = createSyncAgent(JSON.parse(process.argv[2]));
       const aborter = new AbortController();
       agent.on((event) => event.type === 'watching' && aborter.abort());
       await agent.start({ signal: aborter.signal }).catch(({ code }) => console.log(code));`,
    );
    const ended = await runProgram(name, [JSON.stringify(settings)]);
    expect(ended).toEqual({ stdout: 'INTERRUPTED\n', stderr: '', exitCode: 0 });
  });

  it('goes on with a backup although a listener throws, which the program learns', async () => {
    const name = join(app, 'throws.mjs');
    await writeFile(
      name,
      `import { createSyncAgent } from 'sync-agent';
       let uncaught = 0;
       process.on('uncaughtException', (error) => { if (error.message === 'mine') uncaught += 1; else throw error; });
       const agent = createSyncAgent(JSON.parse(process.argv[2]));
       let told = 0;
       agent.on(() => { throw new Error('mine'); });
       agent.on(() => { told += 1; });
       await agent.start();
       const { type } = await agent.backup();
       const { isSaved } = await agent.stop();
       console.log(JSON.stringify({ type, isSaved, isTold: told > 5 && told === uncaught }));`,
    );
    const { stdout, stderr } = await runProgram(name, [JSON.stringify(settings)]);
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toEqual({
      type: expect.stringMatching(/committed|unchanged/) as string,
      isSaved: true,
      isTold: true,
    });
  });
});

describe('an agent', () => {
  it('keeps its store apart from that of another in the same program', async () => {
    const other = join(root, 'other');
    await mkdir(other);
    await writeFile(join(other, 'b'), 'two');
    const pair = [
      agentOf(),
      agentOf({ store: other, remote: pathToFileURL(join(root, 'remote-2')).href }),
    ] as const;
    const both = Promise.all(pair.map(committed));
    await Promise.all(pair.map((each) => each.start()));
    const [first, second] = await both;
    expect(first?.snapshot?.id).not.toBe(second?.snapshot?.id);
    for (const each of pair) {
      expect(await each.stop()).toMatchObject({ isSaved: true });
      expect(await each.list()).toHaveLength(1);
    }
  });

  it('waits for another program that works on the store, and says so', async () => {
    const held = await lockStore(nodeFileSystem, await locateHome(store), {
      command: 'backup',
      waitMs: 0,
      onWait: () => undefined,
      clock: systemClock,
      signal: undefined,
    });
    const agent = agentOf();
    const warned = next(agent, 'warning');
    const made = agent.backup();
    expect((await warned).message).toContain(`sync-agent backup (pid ${process.pid} `);
    held.release();
    expect(await made).toMatchObject({ type: 'committed' });
  });

  it('is refused a store that has one, which is named, and leaves that one alone', async () => {
    const first = agentOf();
    const made = committed(first);
    await first.start();
    await made;
    const second = agentOf();
    await expect(second.start()).rejects.toMatchObject({
      code: 'BUSY',
      message: expect.stringContaining(`sync-agent library (pid ${process.pid} `) as string,
    });
    expect(second.state()).toBeUndefined();
    // Its operations are its own business, and its status is not that of the store's agent.
    await second.backup({ force: true });
    expect(await second.stop()).toEqual({ isSaved: false, unsavedSinceMs: null });
    const { agent } = await second.status();
    expect(agent).toMatchObject({
      pid: process.pid,
      state: expect.not.stringMatching('starting|stopped') as string,
    });
    await first.stop();
    await second.start();
    expect(second.state()).toMatchObject({ store });
  });

  it('may be started twice, and again after it was stopped', async () => {
    const agent = agentOf();
    const made = committed(agent);
    await Promise.all([agent.start(), agent.start()]);
    await agent.start();
    await made;
    const [one, other] = await Promise.all([agent.stop(), agent.stop()]);
    expect(one).toEqual({ isSaved: true, unsavedSinceMs: null });
    expect(other).toBe(one);
    expect(agent.state()).toBeUndefined();
    agent.notify();
    await writeFile(join(store, 'b'), 'two');
    const again = committed(agent);
    await agent.start();
    await again;
    expect(await agent.list()).toHaveLength(2);
  });

  it('that is stopped while it starts, is stopped; and a start that waits for that, starts', async () => {
    const agent = agentOf();
    const starting = agent.start().catch((error: unknown) => error);
    const stopped = agent.stop();
    const again = agent.start();
    expect(await starting).toMatchObject({ code: 'INTERRUPTED' });
    expect(await stopped).toEqual({ isSaved: true, unsavedSinceMs: null });
    await again;
    expect(agent.state()).toMatchObject({ state: expect.not.stringMatching('st') as string });
    expect(await agent.list()).toHaveLength(1);
  });

  it('starts once what was in the way is gone', async () => {
    const agent = agentOf();
    await rename(store, join(root, 'away'));
    await writeFile(store, 'a file');
    await expect(agent.start()).rejects.toMatchObject({ code: 'USAGE' });
    await expect(agent.backup()).rejects.toMatchObject({ code: 'USAGE' });
    await rm(store);
    await rename(join(root, 'away'), store);
    const made = committed(agent);
    await agent.start();
    await made;
  });

  it('gives up a start whose signal aborts, and lets go of the store', async () => {
    const [agent, other] = [agentOf(), agentOf()];
    const aborter = new AbortController();
    agent.on((event) => event.type === 'watching' && aborter.abort());
    await expect(agent.start({ signal: aborter.signal })).rejects.toMatchObject({ code: 'INTERRUPTED' });
    await other.start();
  });

  it('ends a backup whose signal aborts, and the next one works', async () => {
    const agent = agentOf();
    const aborter = new AbortController();
    agent.on((event) => event.type === 'phase' && event.phase === 'upload' && aborter.abort());
    await expect(agent.backup({ signal: aborter.signal })).rejects.toMatchObject({ code: 'INTERRUPTED' });
    await expect(agent.list({ signal: aborter.signal })).rejects.toMatchObject({ code: 'INTERRUPTED' });
    await expect(agent.backup()).resolves.toMatchObject({ type: 'committed' });
  });

  it('ends the wait for a turn at once when its signal aborts', async () => {
    const agent = agentOf();
    const aborter = new AbortController();
    const order: string[] = [];
    const running = agent.backup().then(() => order.push('ran'));
    const waiting = agent.restore({ signal: aborter.signal }).catch((error: { code: string }) => {
      order.push(error.code);
    });
    await next(agent, 'phase');
    aborter.abort();
    await Promise.all([running, waiting]);
    expect(order).toEqual(['INTERRUPTED', 'ran']);
  });

  it('counts a backup that was asked for as one of its own', async () => {
    const agent = agentOf({ intervalMs: 60 * 60 * 1000, settleMs: 60 * 60 * 1000 });
    await agent.start();
    expect(agent.state()).toMatchObject({ state: 'waiting', lastSnapshot: null });
    await agent.backup({ dryRun: true });
    expect(agent.state()).toMatchObject({ state: 'waiting', lastSnapshot: null });
    const result = await agent.backup();
    expect(agent.state()).toMatchObject({
      state: 'idle',
      dirtySinceMs: null,
      lastSnapshot: { id: 'id' in result ? result.id : '' },
      history: { snapshots: [{}] },
    });
  });

  it('knows the snapshot that a sync or a restore left the store equal to', async () => {
    const agent = agentOf({ intervalMs: 60 * 60 * 1000, settleMs: 60 * 60 * 1000 });
    await agent.start();
    const first = await agent.sync();
    expect(first.type).toBe('committed');
    expect(agent.state()?.lastSnapshot?.id).toBe('id' in first ? first.id : '');
    await writeFile(join(store, 'b'), 'more');
    const second = await agent.sync();
    expect(agent.state()?.lastSnapshot?.id).toBe('id' in second ? second.id : '');
    await agent.restore({ snapshot: '~1' });
    expect(agent.state()?.lastSnapshot?.id).toBe('id' in first ? first.id : '');
  });

  it('finishes the backup that runs when it is stopped', async () => {
    const agent = agentOf();
    await agent.start();
    await next(agent, 'phase', (event) => event.phase === 'upload');
    expect(await agent.stop()).toEqual({ isSaved: true, unsavedSinceMs: null });
    await rm(store, { recursive: true });
    await agent.restore();
    expect(await readFile(join(store, 'a'), 'utf8')).toBe('one');
  });

  it('says what is not saved when there is no time, and leaves the remote clean', async () => {
    const agent = agentOf({ intervalMs: 60 * 60 * 1000, settleMs: 60 * 60 * 1000 });
    await agent.backup();
    const before = await filesOf(join(root, 'remote'));
    await writeFile(join(store, 'a'), 'two');
    await agent.start();
    const dirtySinceMs = agent.state()?.dirtySinceMs;
    expect(await agent.stop({ budgetMs: 1 })).toEqual({ isSaved: false, unsavedSinceMs: dirtySinceMs });
    expect(await filesOf(join(root, 'remote'))).toEqual(before);

    // A writer in the middle of a transaction: the last backup cannot be through before it is told to end.
    const writer = new Database(join(store, 'db.sqlite'));
    writer.exec('CREATE TABLE t (x); BEGIN IMMEDIATE; INSERT INTO t VALUES (1)');
    await agent.start();
    const aborter = new AbortController();
    agent.on((event) => event.type === 'phase' && event.phase === 'capture' && aborter.abort());
    expect(await agent.stop({ signal: aborter.signal })).toMatchObject({ isSaved: false });
    writer.exec('COMMIT');
    writer.close();
    expect(await filesOf(join(root, 'remote'))).toEqual(before);
    expect(await readdir(join(root, '.store.sync-agent/staging')).catch(() => [])).toEqual([]);

    await agent.start();
    expect(await agent.stop()).toEqual({ isSaved: true, unsavedSinceMs: null });
  });

  it('ends what the program asked for, too, when its time to stop is over', async () => {
    const agent = agentOf();
    await agent.backup();
    await agent.start();
    const aborter = new AbortController();
    const restoring = agent.restore({ snapshot: 'latest' }).catch((error: unknown) => error);
    await next(agent, 'operation-started', (event) => event.operation === 'restore');
    aborter.abort();
    await agent.stop({ signal: aborter.signal });
    expect(await restoring).toMatchObject({ code: 'INTERRUPTED' });
  });

  it('lives on when its home directory vanishes', async () => {
    const agent = agentOf();
    const made = committed(agent);
    await agent.start();
    await made;
    await rm(join(root, '.store.sync-agent'), { recursive: true });
    await writeFile(join(store, 'b'), 'two');
    const again = committed(agent);
    agent.notify();
    await again;
    expect(await agent.stop()).toMatchObject({ isSaved: true });
  });

  it('says that it cannot save a store that vanishes, and saves what comes in its place', async () => {
    const agent = agentOf({ pollIntervalMs: 100 });
    const made = committed(agent);
    await agent.start();
    await made;
    await rename(store, join(root, 'away'));
    const failed = await next(agent, 'operation-failed');
    expect(failed.error.code).toBe('NOT_FOUND');
    expect(agent.state()).toMatchObject({ lastError: { code: 'NOT_FOUND' } });
    const again = committed(agent);
    await rename(join(root, 'away'), store);
    await writeFile(join(store, 'b'), 'two');
    await again;
    expect(await agent.stop()).toMatchObject({ isSaved: true });
  });

  it('means the store that it was given, wherever the program goes', async () => {
    const home = process.cwd();
    try {
      process.chdir(root);
      const agent = createSyncAgent({ ...settings, store: './store' });
      process.chdir(tmpdir());
      await agent.backup();
      expect(await agent.list()).toHaveLength(1);
    } finally {
      process.chdir(home);
    }
  });

  it.each([
    [{ intervalMs: Number.NaN }, 'intervalMs'],
    [{ pollIntervalMs: -1 }, 'pollIntervalMs'],
    [{ keepLast: 0 }, 'keepLast'],
    [{ maxShrink: 50 }, 'maxShrink'],
    [{ detect: 'inotify' as 'events' }, 'detect'],
    [{ cron: 'daily' }, 'daily'],
    [{ remote: 'bucket' }, 'bucket'],
    [{ store: '' }, 'store'],
  ])('is not made from %j', (wrong, named) => {
    const make = (): SyncAgent => createSyncAgent({ ...settings, ...wrong });
    expect(make).toThrow(expect.objectContaining({ code: 'USAGE' }) as Error);
    expect(make).toThrow(named);
  });

  it('says what it cannot be asked', async () => {
    const agent = agentOf();
    expect(() => agent.notify()).toThrow(expect.objectContaining({ code: 'USAGE' }) as Error);
    await expect(agent.stop({ budgetMs: Number.NaN })).rejects.toMatchObject({ code: 'USAGE' });
    await expect(agent.show('latest', { signal: undefined, log: () => 0 } as object)).rejects.toMatchObject({
      code: 'USAGE',
    });
  });
});
