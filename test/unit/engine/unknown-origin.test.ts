import { chmod, mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { unpackFixture } from '../../support/fixtures.ts';
import { fastTmp, makeHost, shiftableClock } from '../../support/host.ts';
import type { Host, HostOptions } from '../../support/host.ts';
import { passThrough } from '../../support/race.ts';

let root: string;
let remote: Remote;
beforeEach(async () => {
  root = await mkdtemp(join(fastTmp, 'unknown-origin-'));
  remote = createMemoryRemote({ now: Date.now });
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function host(name: string, options: Partial<HostOptions> = {}): Promise<Host> {
  const ports = { findStoreUsers: async () => [], ...options.ports };
  return makeHost({ remote, root: join(root, name), ...options, ports });
}

async function backup(on: Host, options = {}): Promise<string> {
  const result = await on.agent.backup(options);
  if (result.type !== 'committed') throw new Error(`expected a commit, got ${JSON.stringify(result)}`);
  return result.id;
}

/** All times of a store, as a checkout or an archive sets them. */
async function setTimes(on: Host, time: Date): Promise<void> {
  for (const name of await readdir(on.store, { recursive: true }))
    await utimes(join(on.store, name), time, time);
}

/** As an application makes one at boot. */
function emptyChroma(on: Host): void {
  unpackFixture('chroma-1-a', on.store);
  const database = new Database(join(on.store, 'chroma.sqlite3'));
  database.exec(
    'PRAGMA foreign_keys = off; DELETE FROM collections; DELETE FROM segments; DELETE FROM embeddings',
  );
  database.close();
}

async function removeIndexes(on: Host): Promise<void> {
  for (const entry of await readdir(on.store, { withFileTypes: true }))
    if (entry.isDirectory()) await rm(join(on.store, entry.name), { recursive: true });
}

describe('a store of unknown origin that equals no snapshot', () => {
  const times: readonly (readonly [string, Date])[] = [
    ['long before the snapshot', new Date('2001-01-01')],
    ['now', new Date()],
    ['in the future', new Date(Date.now() + 1e9)],
  ];
  it.each(times)('has diverged when its files were written %s', async (_, time) => {
    const [a, b] = [await host('a'), await host('b')];
    await a.write({ x: 'one' });
    const id = await backup(a);
    await b.write({ x: 'two' });
    await setTimes(b, time);
    const diverged = {
      type: 'diverged',
      id,
      tips: [id],
      why: expect.stringContaining('equals no snapshot') as string,
    };
    expect(await b.agent.restore()).toMatchObject(diverged);
    expect(await b.agent.restore({ dryRun: true })).toMatchObject(diverged);
    expect(await b.agent.sync()).toMatchObject(diverged);
    expect(await b.read()).toEqual({ x: 'two' });
    expect(await b.agent.rollbackCopies()).toEqual([]);
    expect(b.events).toContainEqual({ type: 'diverged', tips: [id] });
    expect(await b.agent.restore({ force: true })).toMatchObject({ type: 'restored', id });
    expect(await b.agent.rollbackCopies()).toHaveLength(1);
  });

  it('has diverged when the snapshot that it was is rotated away', async () => {
    const a = await host('a');
    await a.write({ x: 'one' });
    await backup(a);
    await a.write({ x: 'two' });
    await backup(a);
    await a.agent.clearHistory();
    const b = await host('b');
    await b.write({ x: 'one' });
    expect(await b.agent.restore()).toMatchObject({ type: 'diverged' });
  });

  it('is backed up beside the others, which is told', async () => {
    const [a, b] = [await host('a'), await host('b')];
    await a.write({ x: 'one' });
    const first = await backup(a);
    await b.write({ x: 'two' });
    const result = await b.agent.backup();
    expect(result).toMatchObject({ type: 'committed', parent: null, diverged: [first, expect.any(String)] });
    expect(await b.agent.restore()).toMatchObject({ type: 'equal' });
    await b.write({ x: 'six' });
    expect(await b.agent.backup()).toMatchObject({ parent: 'id' in result ? result.id : '' });
    expect((await a.agent.list()).filter(({ isTip }) => isTip)).toHaveLength(2);
  });

  it('is not backed up over a full one when it is nearly empty', async () => {
    const [a, b] = [await host('a'), await host('b')];
    await a.write({ x: 'x'.repeat(1000) });
    await backup(a);
    await b.write({ x: 'y' });
    await expect(b.agent.backup()).rejects.toMatchObject({ code: 'REFUSED' });
  });

  it('is all that matters: beside an empty remote nothing is decided', async () => {
    const b = await host('b');
    await b.write({ x: 'two' });
    expect(await b.agent.restore()).toEqual({ type: 'empty-remote' });
    expect(await b.agent.sync()).toMatchObject({ type: 'committed' });
  });

  it('is compared by names, too, when it holds what no snapshot can', async () => {
    const [a, b] = [await host('a'), await host('b')];
    await a.write({ x: 'one' });
    await backup(a);
    await b.write({ x: 'one', 'bad\uFFFDname': '' });
    expect(await b.agent.restore()).toMatchObject({ type: 'diverged' });
  });
});

describe('a store of unknown origin that equals a snapshot', () => {
  let a: Host;
  let first: string;
  let second: string;
  beforeEach(async () => {
    a = await host('a');
    await a.write({ x: 'one', 'sub/y': 'same' });
    await mkdir(join(a.store, 'empty'));
    first = await backup(a);
    await a.write({ x: 'two, and more' });
    second = await backup(a);
  });

  it('is replaced by the newest when it is an older one', async () => {
    const b = await host('b');
    await b.write({ x: 'one', 'sub/y': 'same' });
    expect(await b.agent.restore()).toMatchObject({ type: 'restored', id: second, tips: [] });
  });

  it('is not backed up as the newest, but known to be behind', async () => {
    const b = await host('b');
    await b.write({ x: 'one', 'sub/y': 'same' });
    await chmod(join(b.store, 'x'), 0o600);
    expect(await b.agent.backup()).toEqual({ type: 'unchanged', id: first });
    expect(await b.agent.status()).toMatchObject({ relation: 'behind', parent: first });
    await b.write({ x: 'three, and more' });
    expect(await b.agent.restore()).toMatchObject({ type: 'diverged' });
    expect(await b.agent.backup()).toMatchObject({ type: 'committed', parent: first });
  });

  it('is known again, as a checkout leaves it: without empty directories, with other permissions and times', async () => {
    const clock = shiftableClock();
    const b = await host('b', { clock });
    await b.write({ x: 'two, and more', 'sub/y': 'same' });
    await chmod(join(b.store, 'x'), 0o755);
    clock.forward(1000);
    await setTimes(b, new Date('2001-01-01'));
    expect(await b.agent.restore()).toEqual({ type: 'equal', id: second });
    expect(await b.agent.restore()).toEqual({ type: 'equal', id: second });
    expect(await b.agent.backup()).toEqual({ type: 'unchanged', id: second });
    await b.write({ x: 'three, and more' });
    expect(await b.agent.backup()).toMatchObject({ type: 'committed', parent: second, diverged: [] });
  });

  it('is that snapshot also beside what SQLite leaves of nothing', async () => {
    const b = await host('b');
    await b.write({ x: 'two, and more', 'sub/y': 'same', 'x-wal': '', 'x-shm': 'shared' });
    expect(await b.agent.restore()).toEqual({ type: 'equal', id: second });
    await b.write({ 'x-wal': 'frames' });
    await rm(join(root, 'b', '.store.sync-agent'), { recursive: true });
    expect(await b.agent.restore()).toMatchObject({ type: 'diverged' });
  });

  it('keeps its lineage where the remote got another name', async () => {
    await a.write({ x: 'three, and more' });
    const moved = await host('a', { remote: { ...passThrough(remote), location: 'memory:moved' } });
    expect(await moved.agent.restore()).toMatchObject({ type: 'ahead', id: second });
    expect(await moved.agent.backup()).toMatchObject({ type: 'committed', parent: second, diverged: [] });
  });

  it('has diverged where another remote took the place, which ends before its parent', async () => {
    const elsewhere = createMemoryRemote({ now: Date.now });
    const other = await host('other', { remote: elsewhere });
    await other.write({ x: 'another history' });
    await backup(other);
    const b = await host('a', { remote: elsewhere });
    expect(await b.agent.restore()).toMatchObject({ type: 'diverged' });
    expect(await b.agent.sync()).toMatchObject({ type: 'diverged' });
  });
});

describe('an empty store of unknown origin', () => {
  let id: string;
  beforeEach(async () => {
    const a = await host('a');
    unpackFixture('chroma-1-b', a.store);
    id = await backup(a);
  });

  it.each<[string, (on: Host) => unknown]>([
    ['with files of no bytes', (on) => on.write({ 'chroma.sqlite3': '', 'app.db': '' })],
    ['of directories', (on) => mkdir(join(on.store, 'sub'), { recursive: true })],
    ['as an application makes one at boot', async (on) => (emptyChroma(on), removeIndexes(on))],
  ])('is replaced: %s', async (_, make) => {
    const b = await host('b');
    await make(b);
    expect(await b.agent.restore()).toMatchObject({ type: 'restored', id, why: 'the local store is empty' });
  });

  it.each<[string, (on: Host) => unknown]>([
    [
      'uploads are beside the database',
      async (on) => (await removeIndexes(on), on.write({ 'up/a.pdf': 'a' })),
    ],
    ['indexes are left that no collection has', () => undefined],
  ])('is not one when %s', async (_, change) => {
    const b = await host('b');
    emptyChroma(b);
    await change(b);
    expect(await b.agent.restore()).toMatchObject({ type: 'diverged' });
    expect(await b.agent.rollbackCopies()).toEqual([]);
  });

  it('is not one when its database is damaged', async () => {
    const b = await host('b');
    emptyChroma(b);
    await removeIndexes(b);
    await writeFile(join(b.store, 'chroma.sqlite3'), 'garbage');
    await expect(b.agent.restore()).rejects.toMatchObject({ code: 'STORE_CORRUPT' });
    expect(await b.agent.rollbackCopies()).toEqual([]);
  });

  it('is not one while a process works in it', async () => {
    const users = async () => [{ pid: 1, command: 'chroma', executable: undefined, mayWrite: true }];
    const b = await host('b', { ports: { findStoreUsers: users } });
    emptyChroma(b);
    await removeIndexes(b);
    expect(await b.agent.restore()).toMatchObject({ type: 'diverged' });
  });
});

describe('a restore', () => {
  it('tells the tips that it leaves behind, until somebody chooses', async () => {
    const [a, b, c] = [await host('a'), await host('b'), await host('c')];
    await a.write({ x: 'one' });
    const first = await backup(a);
    await b.write({ x: 'two' });
    const second = await backup(b);
    expect(await c.agent.restore()).toMatchObject({ type: 'restored', id: second, tips: [first] });
    expect(c.events).toContainEqual({ type: 'diverged', tips: [first, second] });
    expect(await c.agent.restore({ snapshot: first })).toMatchObject({ type: 'restored', tips: [] });
  });
});

describe('a rollback', () => {
  it('is a choice: the next restore leaves it alone, the next backup makes it the newest', async () => {
    const [a, b] = [await host('a'), await host('b')];
    await a.write({ x: 'one' });
    await backup(a);
    await b.agent.restore();
    await b.write({ x: 'two' });
    const second = await backup(b);
    expect(await a.agent.restore()).toMatchObject({ type: 'restored', id: second });
    await a.agent.rollBack((await a.agent.rollbackCopies())[0]?.name ?? '');
    expect(await a.agent.status()).toMatchObject({ relation: 'chosen' });
    expect(await a.agent.restore()).toMatchObject({ type: 'ahead' });
    expect(await a.agent.sync()).toMatchObject({ type: 'committed', diverged: [] });
    const c = await host('c');
    expect(await c.agent.restore()).toMatchObject({ type: 'restored', tips: [] });
    expect(await c.read()).toEqual({ x: 'one' });
  });

  it('back again is the snapshot, with nothing to commit', async () => {
    const [a, b] = [await host('a'), await host('b')];
    await a.write({ x: 'one' });
    await backup(a);
    await b.write({ x: 'two' });
    await b.agent.restore({ force: true });
    for (let n = 0; n < 2; n += 1)
      await b.agent.rollBack((await b.agent.rollbackCopies()).at(-1)?.name ?? '');
    expect(await b.agent.restore()).toMatchObject({ type: 'equal' });
    expect(await b.agent.backup()).toMatchObject({ type: 'unchanged' });
  });
});
