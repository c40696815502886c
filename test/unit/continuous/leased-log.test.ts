import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { rankLog } from '../../../src/engine/lease/rank-log.ts';
import type { Context } from '../../../src/engine/context.ts';
import { LogKeeper } from '../../../src/engine/continuous/log-keeper.ts';
import { endOfLog } from '../../../src/engine/continuous/parent-log.ts';
import { locateHome } from '../../../src/home/home.ts';
import { logNextPath, writeLogFile } from '../../../src/home/log-files.ts';
import { readState, writeState } from '../../../src/home/state.ts';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';
import { queueLog } from '../../../src/stores/chroma/log/queue-log.ts';
import { readLog } from '../../../src/log/commit-log.ts';
import { segmentKey } from '../../../src/log/layout.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { unpackFixture } from '../../support/fixtures.ts';
import { makeHost } from '../../support/host.ts';
import { makeLogMachine } from '../../support/log-machine.ts';
import { QueueStore, rowsOf } from '../../support/queue-store.ts';
import { contextOf, passThrough } from '../../support/race.ts';

type Machine = Awaited<ReturnType<typeof makeLogMachine>>;

let remote: Remote;
let machines: Machine[];
/** It has epoch 1, and a snapshot with a log. */
let sleeper: Machine;
beforeEach(async () => {
  remote = createMemoryRemote({ now: Date.now });
  machines = [];
  sleeper = await make(1);
  unpackFixture('chroma-1-b', sleeper.host.store);
  sleeper.start();
  await until(() => sleeper.isDue());
  await sleeper.backup();
  await until(() => isFollowing(sleeper));
});
afterEach(async () => {
  for (const machine of machines) {
    await machine.stop();
    await machine.host.remove();
  }
});

async function make(epoch: number): Promise<Machine> {
  const machine = await makeLogMachine(remote, { random: () => 1, faults: 0, dieAt: Infinity }, { epoch });
  machines.push(machine);
  return machine;
}

/** A machine that took the lease and restored what there was. */
async function takeOver(epoch: number): Promise<Machine> {
  const machine = await make(epoch);
  await machine.host.agent.restore();
  machine.start();
  await until(() => isFollowing(machine));
  return machine;
}

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await sleep(5);
}

const lastOf = ({ host }: Machine): string | undefined =>
  host.events.findLast(({ type }) => type === 'log-following' || type === 'log-broken')?.type;
const isFollowing = (machine: Machine): boolean => lastOf(machine) === 'log-following';

function write({ host }: Pick<Machine, 'host'>, id: string): void {
  const store = new QueueStore({ dir: host.store });
  store.write(store.collections()[0] ?? '', id);
}

/** A host that restored what there was, and takes the lease only after it has begun to follow the log. */
async function takenOverLate(): Promise<{
  readonly host: Machine['host'];
  readonly context: Context;
  readonly keeper: LogKeeper;
}> {
  const { host } = await make(3);
  await host.agent.restore();
  return { host, ...(await keeperOf(host, remote)) };
}

/** Of a host that was restored or has made a snapshot, and follows no log. */
async function keeperOf(
  { store }: Machine['host'],
  used: Remote,
): Promise<{ readonly context: Context; readonly keeper: LogKeeper }> {
  const home = await locateHome(store);
  const context: Context = { ...contextOf(used, Date.now, Math.random, 'host'), home };
  // `contextOf` names another remote than the host's own state does.
  const state = await readState(home);
  const [known] = Object.values(state?.remotes ?? {});
  if (state === undefined || known === undefined) throw new Error('it has no snapshot');
  await writeState(nodeFileSystem, home, { ...state, remotes: { [context.remoteId]: known } });
  const nothing = { onShipped: () => undefined, onBroken: () => undefined, onFollowing: () => undefined };
  return { context, keeper: new LogKeeper(context, queueLog, nothing) };
}

/** Of those that were written here, what a bare machine gets. */
async function restored(): Promise<readonly string[]> {
  const bare = await makeHost({ remote });
  try {
    await bare.agent.restore();
    return rowsOf(bare.store, 240)
      .map((row) => (JSON.parse(row) as { id: string }).id)
      .filter((id) => /^(sleeper|holder) /.test(id))
      .toSorted();
  } finally {
    await bare.remove();
  }
}

describe('a log that another host continues under a newer lease', () => {
  it('counts more than what the earlier holder commits when it wakes up, and is not ended by it', async () => {
    write(sleeper, 'sleeper 1');
    expect(await sleeper.flush()).toBe(true);
    const holder = await takeOver(2);
    write(holder, 'holder 1');
    expect(await holder.flush()).toBe(true);

    write(sleeper, 'sleeper 2');
    await until(() => sleeper.isDue());
    const late = await sleeper.backup();
    await until(() => isFollowing(sleeper));
    expect(await sleeper.flush()).toBe(true);

    write(holder, 'holder 2');
    expect(await holder.flush()).toBe(true);
    expect(holder.host.events.filter(({ type }) => type === 'log-broken')).toEqual([]);
    expect(await restored()).toEqual(['holder 1', 'holder 2', 'sleeper 1']);
    expect(await sleeper.host.agent.list()).toContainEqual(
      expect.objectContaining({ id: late, isTip: true }),
    );
  });

  it('is not followed again by the earlier holder, although its store has all that is in it', async () => {
    await sleeper.stop();
    const holder = await takeOver(2);
    sleeper.start();
    await until(() => sleeper.isDue());
    write(holder, 'holder 1');
    expect(await holder.flush()).toBe(true);
    expect(sleeper.host.events).toContainEqual(
      expect.objectContaining({ type: 'log-broken', why: expect.stringContaining('lease') as string }),
    );
    expect(await restored()).toEqual(['holder 1']);
  });

  it('is not ended by a snapshot that the earlier holder makes before it has noticed', async () => {
    const holder = await takeOver(2);
    const late = await sleeper.backup();
    await until(() =>
      sleeper.host.events.some((event) => event.type === 'log-following' && event.snapshot === late),
    );
    write(sleeper, 'sleeper 1');
    expect(await sleeper.flush()).toBe(true);
    write(holder, 'holder 1');
    expect(await holder.flush()).toBe(true);
    expect(holder.host.events.filter(({ type }) => type === 'log-broken')).toEqual([]);
    expect(await restored()).toEqual(['holder 1']);
  });

  describe('and that the earlier holder went on beside, with a snapshot of its own', () => {
    let holder: Machine;
    let shared: string;
    let agent: Machine['host']['agent'];
    beforeEach(async () => {
      holder = await takeOver(2);
      shared = (await readLog(contextOf(remote, Date.now, Math.random, 'host'))).snapshots.at(-1)!.entry.id;
      agent = sleeper.host.agent;
      await sleeper.backup();
      await until(() => sleeper.host.events.filter(({ type }) => type === 'log-following').length === 2);
    });
    const pins = async () => (await agent.list()).filter(({ pin }) => pin !== undefined).map(({ id }) => id);

    it('is not hidden by what that one makes under the next lease: the snapshot is pinned, and all is told', async () => {
      write(sleeper, 'sleeper 1');
      write(holder, 'holder 1');
      expect(await holder.flush()).toBe(true);
      await sleeper.stop();
      for (const result of [await agent.restore(), await agent.sync()])
        expect(result).toMatchObject({ type: 'diverged', id: shared });
      sleeper.host.events.splice(0);
      expect(await agent.backup({ epoch: 3 })).toMatchObject({ type: 'committed', isFenced: false });
      expect(await pins()).toEqual([shared]);
      expect(sleeper.host.events).toContainEqual(
        expect.objectContaining({ code: 'DIVERGED', message: expect.stringContaining(shared) as string }),
      );
      expect(await restored()).toEqual(['sleeper 1']);
      const bare = await makeHost({ remote });
      await bare.agent.restoreTo(`${bare.root}/left`, { snapshot: shared, atMs: Date.now() });
      expect(rowsOf(`${bare.root}/left`, 240).join()).toContain('holder 1');
      await bare.remove();
      write(holder, 'holder 2');
      await until(() => lastOf(holder) === 'log-broken');

      // What a person has settled is not pinned again.
      await agent.unpin(shared);
      await agent.backup({ epoch: 3, evenUnchanged: true });
      expect(await pins()).toEqual([]);
    });

    it('is nothing to settle if it has no more than the store: nobody wrote to it', async () => {
      write(sleeper, 'sleeper 1');
      await sleeper.stop();
      expect(await agent.restore()).toMatchObject({ type: 'ahead' });
      await agent.backup({ epoch: 3 });
      expect(await pins()).toEqual([]);
      expect(await restored()).toEqual(['sleeper 1']);
    });

    it('is restored if it has all that the store has', async () => {
      write(holder, 'holder 1');
      expect(await holder.flush()).toBe(true);
      await sleeper.stop();
      expect(await agent.restore()).toMatchObject({ type: 'restored', id: shared });
      expect(await restored()).toEqual(['holder 1']);
    });

    it('is left alone by a host whose lease counts less, and by one that was chosen over it', async () => {
      write(holder, 'holder 1');
      expect(await holder.flush()).toBe(true);
      await sleeper.stop();
      expect(await agent.backup({ epoch: 1, evenUnchanged: true })).toMatchObject({ isFenced: true });
      expect(await pins()).toEqual([]);
      const own = (await agent.list()).find(({ isTip }) => isTip);
      await agent.restore({ snapshot: own!.id });
      await agent.backup({ evenUnchanged: true });
      expect(await pins()).toEqual([]);
    });
  });

  it('counts under a lease that was taken after it was begun', async () => {
    await sleeper.stop();
    const { keeper, host, context } = await takenOverLate();
    try {
      await keeper.begin();
      await keeper.obey(async () => undefined);
      write({ host }, 'holder 1');
      keeper.read();
      await keeper.ship(3);
      await keeper.obey(async () => 3);
      expect((await readLog(context)).snapshots.map(({ entry }) => entry.epoch)).toEqual([3]);
    } finally {
      keeper.close();
    }
  });

  it('is closed to the earlier holder as soon as the lease is known, although nothing was written', async () => {
    const { keeper, host, context } = await takenOverLate();
    try {
      await keeper.begin();
      await keeper.obey(async () => undefined);
      // What it has read as it began.
      while (await keeper.ship(undefined));
      await keeper.ship(3);
      await keeper.obey(async () => 3);
      const told = sleeper.host.events.length;
      write(sleeper, 'sleeper 1');
      await until(() =>
        sleeper.host.events.slice(told).some(({ type }) => type === 'log-broken' || type === 'log-shipped'),
      );
      write({ host }, 'holder 1');
      keeper.read();
      await keeper.ship(3);
      expect((await readLog(context)).snapshots.map(({ entry }) => entry.epoch)).toEqual([3]);
      expect(await restored()).toEqual(['holder 1']);
    } finally {
      keeper.close();
    }
  });

  it('is left alone if another snapshot counts more meanwhile, which is not raised in its place', async () => {
    const [first = ''] = (await sleeper.host.agent.list()).map(({ id }) => id);
    const newest = await sleeper.backup();
    const context = contextOf(remote, Date.now, Math.random, 'other');
    const why = await rankLog(context, await readLog(context), first, 2);
    expect(why).toBe('another snapshot counts more');
    expect((await sleeper.host.agent.show('latest')).id).toBe(newest);
    const { snapshots } = await readLog(context);
    expect(snapshots.map(({ entry }) => entry.epoch)).toEqual([1, 1]);
  });

  it('is not taken back by an earlier holder that has not seen yet that it was raised', async () => {
    const [first = ''] = (await sleeper.host.agent.list()).map(({ id }) => id);
    const context = contextOf(remote, Date.now, Math.random, 'other');
    const before = await readLog(context);
    expect(await rankLog(context, before, first, 3)).toBeUndefined();
    expect(await rankLog(context, before, first, 2)).toBe('another snapshot counts more');
    expect((await readLog(context)).snapshots.map(({ entry }) => entry.epoch)).toEqual([3]);
  });

  it('has what is written while a snapshot that a killed backup made is raised', async () => {
    let during = (): void => undefined;
    const asked: Remote = {
      ...passThrough(remote),
      put: (key, ...more) => {
        if (key.startsWith('commits/')) during();
        return remote.put(key, ...more);
      },
    };
    const { host } = sleeper;
    const [first] = await host.agent.list();
    const second = await sleeper.backup();
    await until(() => isFollowing(sleeper));
    await sleeper.stop();
    const { position } = await host.agent.show('latest');
    if (first === undefined || second === undefined || position === undefined)
      throw new Error('it has no two snapshots');
    const { keeper, context } = await keeperOf(host, asked);
    const state = await readState(context.home);
    const known = state?.remotes[context.remoteId];
    if (state === undefined || known == null || known.parent === null) throw new Error('it has no parent');
    // It died between its commit and its record of it.
    const unrecorded = {
      ...known,
      parent: { ...known.parent, id: first.id },
      pending: { id: second, fingerprint: null },
    };
    await writeState(nodeFileSystem, context.home, { ...state, remotes: { [context.remoteId]: unrecorded } });
    await writeLogFile(nodeFileSystem, logNextPath(context.home), { snapshot: second, position });
    try {
      await keeper.begin();
      let isWritten = false;
      during = () => {
        if (isWritten) return;
        isWritten = true;
        write({ host }, 'holder 1');
        keeper.read();
      };
      await keeper.obey(async () => 3);
      expect(isWritten).toBe(true);
      await keeper.ship(3);
      expect(await restored()).toEqual(['holder 1']);
    } finally {
      keeper.close();
    }
  });

  it('is not taken up once a snapshot has gone on from it, although nobody has ended it', async () => {
    await sleeper.stop();
    const [first = ''] = (await sleeper.host.agent.list()).map(({ id }) => id);
    const context = contextOf(remote, Date.now, Math.random, 'other');
    const before = await readLog(context);
    expect(await endOfLog(context, before, first)).toMatchObject({ number: 0 });
    const second = await sleeper.backup();
    const after = await readLog(context);
    // Whoever made the second one died before it ended the log of the first.
    await remote.remove([segmentKey(first, 1)]);
    expect(await endOfLog(context, { ...after, snapshots: before.snapshots }, first)).toMatchObject({
      number: 0,
    });
    expect(await endOfLog(context, after, first)).toBe(
      `the log of snapshot ${first} ended when snapshot ${second} went on from it`,
    );
  });

  it('is left by a host whose snapshot the earlier holder has gone on from: it makes one that counts more', async () => {
    const holder = await make(2);
    await holder.host.agent.restore();
    write(sleeper, 'sleeper 1');
    await sleeper.backup();
    holder.start();
    write(holder, 'holder 1');
    await until(() => holder.isDue());
    await holder.backup();
    await until(() => isFollowing(holder));
    expect(await holder.flush()).toBe(true);
    expect(await restored()).toEqual(['holder 1']);
  });
});
