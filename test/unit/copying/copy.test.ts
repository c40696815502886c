import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createAgent } from '../../../src/in-process/create-agent.ts';
import type { AgentPorts } from '../../../src/in-process/create-agent.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { fastTmp, makeHost, readTree, shiftableClock } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';
import { passThrough } from '../../support/race.ts';

const hour = 3_600_000;
const quiet: Partial<AgentPorts> = { findStoreUsers: async () => [] };
let root: string;
let clock: ReturnType<typeof shiftableClock>;
let source: Remote;
let target: Remote;
let host: Host;
let puts: string[];

/** Remotes are told apart by their location. */
const named = (remote: Remote, location: string, more: Partial<Remote> = {}): Remote => ({
  ...passThrough(remote),
  location,
  ...more,
});

beforeEach(async () => {
  root = await mkdtemp(join(fastTmp, 'sync-agent-copy-'));
  clock = shiftableClock();
  source = named(createMemoryRemote({ now: () => clock.now() }), 'memory:source');
  const bare = createMemoryRemote({ now: () => clock.now() });
  puts = [];
  target = named(bare, 'memory:target', {
    put: (key, body, options) => {
      puts.push(key);
      return bare.put(key, body, options);
    },
  });
  host = await makeHost({ remote: source, root, clock, ports: { ...quiet, copyTarget: target } });
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function snapshot(files: Readonly<Record<string, string>>): Promise<string> {
  await host.write(files);
  const result = await host.agent.backup();
  if (result.type !== 'committed') throw new Error(result.type);
  return result.id;
}

/** A host whose remote is the target. */
const there = (more: Partial<Parameters<typeof makeHost>[0]> = {}): Promise<Host> =>
  makeHost({ remote: target, clock, ports: quiet, ...more });
const copy = (options: { readonly all?: boolean; readonly force?: boolean } = {}) =>
  host.agent.copyTo('memory:', options);

/** Not the probe of create-only writes. */
const isFile = (key: string): boolean => /^history\/2.*\.txt$/.test(key);

describe('a copy', () => {
  it('is a remote like any other: it verifies, restores, and backups go on from it', async () => {
    const first = await snapshot({ 'a.txt': 'one', 'sub/b.txt': 'same' });
    const second = await snapshot({ 'a.txt': 'two' });
    expect(await copy({ all: true })).toMatchObject({
      type: 'copied',
      newest: second,
      snapshots: [{ id: first }, { id: second }],
    });
    const elsewhere = await there();
    expect(await elsewhere.agent.verify({ all: true, readData: true })).toMatchObject({ isSound: true });
    expect((await elsewhere.agent.list()).map(({ id, parent, isTip }) => [id, parent, isTip])).toEqual([
      [first, null, false],
      [second, first, true],
    ]);
    expect(await elsewhere.agent.restore()).toMatchObject({ type: 'restored', id: second, tips: [] });
    expect(await elsewhere.read()).toEqual({ 'a.txt': 'two', 'sub/b.txt': 'same' });
    await elsewhere.write({ 'a.txt': 'three' });
    expect(await elsewhere.agent.backup()).toMatchObject({ type: 'committed', parent: second, diverged: [] });
    // Plain files of the newest snapshot, for people.
    expect(await target.head('a.txt')).toBeDefined();
    await elsewhere.remove();
  });

  it('sends what the target lacks, once', async () => {
    await snapshot({ 'a.txt': 'one', 'b.txt': 'the same bytes' });
    await copy();
    expect(await copy()).toMatchObject({ type: 'nothing-to-do', snapshots: [] });
    const next = await snapshot({ 'a.txt': 'two', 'c.txt': 'the same bytes' });
    puts.length = 0;
    expect(await copy()).toMatchObject({ snapshots: [{ id: next, files: 3, bytes: 31, sentBytes: 3 }] });
    expect(puts.filter(isFile)).toEqual([`history/${next}/a.txt`]);
    expect(await readdir(root)).not.toContain('scratch');
  });

  it('that has only newer snapshots is no divergence, and knows its ancestors', async () => {
    const [first] = [await snapshot({ 'a.txt': '1' }), await snapshot({ 'a.txt': '2' })];
    await host.agent.copyTo('memory:');
    await snapshot({ 'a.txt': '3' });
    await snapshot({ 'a.txt': '4' });
    await copy();
    const elsewhere = await there();
    expect((await elsewhere.agent.list()).filter(({ isTip }) => isTip)).toHaveLength(1);
    expect(await elsewhere.agent.restore()).toMatchObject({ tips: [] });
    // Older ones may come later, and never are the newest.
    expect((await copy({ all: true })).snapshots.map(({ id }) => id)).toContain(first);
    const list = await elsewhere.agent.list();
    expect(list).toHaveLength(4);
    expect(list.at(-1)?.id).toBe((await host.agent.list()).at(-1)?.id);
    expect(list.filter(({ isTip }) => isTip)).toHaveLength(1);
    expect(await elsewhere.agent.restore()).toMatchObject({ type: 'equal' });
    await elsewhere.remove();
  });

  it('is recognised by a host whose store came from the source', async () => {
    const newest = await snapshot({ 'a.txt': 'one' });
    await copy();
    const moved = await there({ root });
    expect(await moved.agent.restore()).toMatchObject({ type: 'equal', id: newest });
    await host.write({ 'a.txt': 'two' });
    expect(await moved.agent.backup()).toMatchObject({ type: 'committed', parent: newest, diverged: [] });
  });

  it('keeps by its own retention rule', async () => {
    for (const text of ['1', '2', '3']) {
      await snapshot({ 'a.txt': text });
      clock.forward(3 * hour);
      await host.agent.copyTo({ remote: 'memory:', keepLast: 2, graceMs: hour });
    }
    const elsewhere = await there();
    expect((await elsewhere.agent.list()).map(({ generation }) => generation)).toEqual([2, 3]);
    expect(await host.agent.list()).toHaveLength(3);
    expect(await elsewhere.agent.verify({ all: true, readData: true })).toMatchObject({ isSound: true });
    await elsewhere.remove();
  });

  it('of linked history is whole without the source', async () => {
    const linked = await makeHost({
      remote: source,
      root,
      clock,
      ports: { ...quiet, copyTarget: target },
      settings: { history: 'linked' },
    });
    await linked.write({ 'a.txt': 'one', 'b.txt': 'same' });
    await linked.agent.backup();
    await linked.write({ 'a.txt': 'two' });
    await linked.agent.backup();
    await linked.agent.copyTo({ remote: 'memory:', history: 'copy' });
    const elsewhere = await there();
    expect(await elsewhere.agent.verify({ readData: true })).toMatchObject({ isSound: true });
    expect(await elsewhere.agent.restore()).toMatchObject({ type: 'restored' });
    expect(await elsewhere.read()).toEqual({ 'a.txt': 'two', 'b.txt': 'same' });
    await elsewhere.remove();
  });

  it('is committed by nobody if the source is damaged', async () => {
    await snapshot({ 'a.txt': 'one' });
    await copy();
    const id = await snapshot({ 'a.txt': 'two', 'b.txt': 'x' });
    await source.remove([`history/${id}/b.txt`, 'b.txt']);
    await expect(copy()).rejects.toMatchObject({ code: 'SNAPSHOT_CORRUPT' });
    const elsewhere = await there();
    expect(await elsewhere.agent.list()).toHaveLength(1);
    expect(await elsewhere.agent.verify({ all: true, readData: true })).toMatchObject({ isSound: true });
    await elsewhere.remove();
  });

  it('never has an object whose bytes are not those of the manifest', async () => {
    const id = await snapshot({ 'a.txt': 'one' });
    const lying = named(source, 'memory:source', {
      get: async (key, options) => {
        const got = await source.get(key, options);
        if (!key.endsWith('a.txt')) return got;
        return {
          ...got,
          body: (async function* () {
            yield Buffer.from('0ne');
          })(),
        };
      },
    });
    const misled = await makeHost({ remote: lying, root, clock, ports: { ...quiet, copyTarget: target } });
    await expect(misled.agent.copyTo('memory:')).rejects.toMatchObject({ code: 'SNAPSHOT_CORRUPT' });
    expect(await target.head(`history/${id}/a.txt`)).toBeUndefined();
    expect((await misled.agent.operationLog()).at(-1)).toMatchObject({ operation: 'copy', state: 'failed' });
  });

  it('is in the operation log', async () => {
    await snapshot({ 'a.txt': 'one' });
    await copy();
    expect((await host.agent.operationLog()).at(-1)).toMatchObject({ operation: 'copy', outcome: 'copied' });
  });
});

describe('a target that something is wrong with', () => {
  it('is refused if somebody else works there, unless a person insists: then both tips stay', async () => {
    const elsewhere = await there();
    await elsewhere.write({ 'x.txt': 'another store' });
    const own = await elsewhere.agent.backup();
    const ours = await snapshot({ 'a.txt': 'one' });
    await expect(copy()).rejects.toMatchObject({ code: 'REFUSED' });
    expect(await elsewhere.agent.list()).toHaveLength(1);
    expect(await copy({ force: true })).toMatchObject({ type: 'copied', newest: ours });
    const list = await elsewhere.agent.list();
    expect(list.map(({ id, isTip }) => [id, isTip])).toEqual([
      [own.type === 'committed' ? own.id : '', true],
      [ours, true],
    ]);
    // It is a copy of this source now.
    const next = await snapshot({ 'a.txt': 'two' });
    expect(await copy()).toMatchObject({ newest: next });
    await elsewhere.remove();
  });

  it('is refused if it is the source, or within the store', async () => {
    await snapshot({ 'a.txt': 'one' });
    const self = await makeHost({ remote: source, root, ports: { ...quiet, copyTarget: source } });
    await expect(self.agent.copyTo('memory:')).rejects.toMatchObject({ code: 'USAGE' });
    const real = createAgent({ store: host.store, remote: `file://${root}/remote` });
    await real.backup();
    await expect(real.copyTo(`file://${host.store}/x`)).rejects.toMatchObject({ code: 'USAGE' });
    await expect(real.copyTo(`file://${root}/remote`)).rejects.toMatchObject({ code: 'USAGE' });
    await real.close();
  });

  it('is refused if it lost its newest commits', async () => {
    await snapshot({ 'a.txt': 'one' });
    await copy();
    await snapshot({ 'a.txt': 'two' });
    await copy();
    await target.remove(['commits/0000000002.json']);
    await snapshot({ 'a.txt': 'three' });
    await expect(copy()).rejects.toMatchObject({ code: 'SNAPSHOT_CORRUPT' });
  });

  it('needs a snapshot to be copied', async () => {
    await expect(copy()).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('gets again what is broken there, into the next snapshot', async () => {
    const first = await snapshot({ 'a.txt': 'one', 'b.txt': 'same' });
    await copy();
    await target.remove([`history/${first}/b.txt`]);
    const second = await snapshot({ 'a.txt': 'two' });
    expect(await copy()).toMatchObject({ snapshots: [{ id: second, sentBytes: 7 }] });
    const elsewhere = await there();
    expect(await elsewhere.agent.verify({ snapshot: second, readData: true })).toMatchObject({
      isSound: true,
    });
    await elsewhere.remove();
  });
});

describe('an interrupted copy', () => {
  const files = Object.fromEntries(Array.from({ length: 10 }, (_, n) => [`${n}.txt`, `content ${n}`]));

  /** Fails at the n-th object of a snapshot. */
  const failing = (n: number): Remote => {
    let left = n;
    return named(target, 'memory:target', {
      put: async (key, body, options) => {
        if (isFile(key) && left-- <= 0) throw new Error('cut');
        return target.put(key, body, options);
      },
    });
  };
  const interrupt = async (n: number): Promise<void> => {
    const cut = await makeHost({
      remote: source,
      root,
      clock,
      ports: { ...quiet, copyTarget: failing(n) },
      settings: { concurrency: 1 },
    });
    await expect(cut.agent.copyTo('memory:')).rejects.toThrow('cut');
  };

  it('is resumed: what is there is not sent again', async () => {
    await snapshot(files);
    await interrupt(6);
    puts.length = 0;
    expect(await copy()).toMatchObject({ snapshots: [{ files: 10, sentBytes: 4 * 9 }] });
    expect(puts.filter(isFile)).toHaveLength(4);
    const elsewhere = await there();
    expect(await elsewhere.agent.verify({ all: true, readData: true })).toMatchObject({ isSound: true });
    await elsewhere.remove();
  });

  it('relies on nothing that a rotation may be about to take', async () => {
    await snapshot(files);
    await interrupt(6);
    clock.forward(90 * 60_000);
    expect(await copy()).toMatchObject({ snapshots: [{ sentBytes: 90 }] });
  });

  it('relies on nothing of another size', async () => {
    const id = await snapshot(files);
    await interrupt(6);
    await target.remove([`history/${id}/0.txt`]);
    await target.put(`history/${id}/0.txt`, {
      size: 1,
      open: async function* () {
        yield Buffer.from('x');
      },
    });
    expect(await copy()).toMatchObject({ snapshots: [{ sentBytes: 5 * 9 }] });
    const elsewhere = await there();
    expect(await elsewhere.agent.verify({ all: true, readData: true })).toMatchObject({ isSound: true });
    await elsewhere.remove();
  });
});

describe('two copies at once', () => {
  it('make one snapshot of it, whichever commits first', async () => {
    await snapshot({ 'a.txt': 'one', 'b.txt': 'two' });
    let overtake = async (): Promise<void> => {
      overtake = async () => undefined;
      expect(await copy()).toMatchObject({ type: 'copied' });
    };
    const slow = named(target, 'memory:target', {
      put: async (key, body, options) => {
        if (key.startsWith('commits/')) await overtake();
        return target.put(key, body, options);
      },
    });
    const other = await makeHost({ remote: source, clock, ports: { ...quiet, copyTarget: slow } });
    expect(await other.agent.copyTo('memory:')).toMatchObject({ type: 'nothing-to-do' });
    const elsewhere = await there();
    expect((await elsewhere.agent.list()).map(({ generation }) => generation)).toEqual([1]);
    expect(await elsewhere.agent.verify({ all: true, readData: true })).toMatchObject({ isSound: true });
    await other.remove();
    await elsewhere.remove();
  });
});

it('a directory is a target, which is made', async () => {
  const dir = join(root, 'offsite');
  const agent = createAgent({ store: host.store, remote: `file://${root}/remote` });
  await host.write({ 'a.txt': 'one' });
  await agent.backup();
  await writeFile(join(host.store, 'a.txt'), 'not saved');
  expect(await agent.copyTo(`file://${dir}`)).toMatchObject({ type: 'copied', to: `file://${dir}` });
  expect((await readTree(dir))?.['a.txt']).toBe('one');
  await agent.close();
});
