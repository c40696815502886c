import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import type { Remote } from '../../../src/remotes/remote.ts';
import type { QueueStore } from '../queue-store.ts';
import { History } from './log-host.ts';
import type { LogHost } from './log-host.ts';
import { writtenCollection } from './small-store.ts';
import { copyWorld, elsewhere, hostIn, newWorld, onBareMachine, removeDisk } from './world.ts';
import type { World } from './world.ts';

/** Done around the put of a commit. */
export interface Hooks {
  beforeCommit?: () => Promise<unknown>;
  afterCommit?: () => Promise<unknown>;
}

export interface Scenario {
  readonly name: string;
  /** Of the lease that the machine has. */
  readonly epoch?: number;
  /** Makes the world in which `run` begins. */
  readonly prepare: (from: {
    readonly small: QueueStore;
    /** As `makeEnded` makes it, under a lease. It stays as it is. */
    readonly endedUnder: (epoch?: number) => Promise<World>;
  }) => Promise<World>;
  /** What the machine does. `remote`: as others see it. */
  readonly run: (
    host: LogHost,
    beside: { readonly world: World; readonly remote: Remote; readonly hooks: Hooks },
  ) => Promise<void>;
  /** `newer`: the store is replaced by what is saved. `older`: by an earlier state, which a person chose. */
  readonly replaces?: 'newer' | 'older';
}

const newest = (store: QueueStore): string => store.collections().at(-1) ?? '';
/** Of few records, so that values are replaced. */
const put =
  (id: string, document: string) =>
  (store: QueueStore): void =>
    void store.write(writtenCollection, id, { document });
const remove =
  (id: string) =>
  (store: QueueStore): void =>
    void store.write(writtenCollection, id, { operation: 3 });

/** A machine that follows the log of its snapshot. */
async function begin(world: World, small: QueueStore, epoch?: number): Promise<LogHost> {
  await cp(small.dir, join(world.root, 'store'), { recursive: true });
  const host = hostIn(world, { epoch });
  host.acknowledge();
  await host.follow();
  await host.backUp();
  host.write(put('a', 'one'));
  host.write(put('b', 'one'));
  await host.flush();
  return host;
}

async function writeMore(host: LogHost, { clock, history }: World): Promise<void> {
  clock.forward(1000);
  history.moment = clock.now();
  clock.forward(1000);
  host.write(put('a', 'two'));
  host.write(remove('b'));
  await host.flush();
}

/** A machine with a snapshot and two segments behind it, whose agent has ended. */
export async function makeEnded(small: QueueStore, epoch?: number): Promise<World> {
  const world = newWorld();
  const host = await begin(world, small, epoch);
  await writeMore(host, world);
  host.end();
  return world;
}

const ended: Scenario['prepare'] = async ({ endedUnder }) => copyWorld(await endedUnder());

/** The server wrote on after the agent had ended. */
const endedEarly =
  (epoch?: number): Scenario['prepare'] =>
  async ({ endedUnder }) => {
    const world = await copyWorld(await endedUnder(epoch));
    hostIn(world).write(put('b', 'three'));
    return world;
  };

/** It was another machine, which is lost. This one is bare. */
const lost =
  (epoch?: number): Scenario['prepare'] =>
  async ({ endedUnder }) =>
    onBareMachine(await endedUnder(epoch));

/** This machine has what another one had saved at some time. */
const behind: Scenario['prepare'] = async ({ small }) => {
  const other = newWorld();
  const host = await begin(other, small);
  const world = elsewhere(other);
  await hostIn(world).restore();
  await writeMore(host, world);
  host.end();
  removeDisk(other);
  return world;
};

const takesOver = (epochs?: { readonly old: number; readonly own: number }): Scenario => ({
  name: `another machine that takes over${epochs === undefined ? '' : ' under a lease'}, and an earlier one that wakes up`,
  ...(epochs === undefined ? {} : { epoch: epochs.own }),
  replaces: 'newer',
  prepare: lost(epochs?.old),
  run: async (host, { world, remote }) => {
    const beside = elsewhere(world);
    const earlier = hostIn(beside, { remote, epoch: epochs?.old, history: new History() });
    await earlier.restore();
    await earlier.follow();
    await host.restore();
    await host.follow();
    host.write(put('a', 'taken over'));
    await host.flush();
    put('b', 'by nobody')(earlier.store);
    await earlier.flush();
    earlier.end();
    removeDisk(beside);
    host.write(remove('a'));
    await host.flush();
  },
});

const comesBack = (epochs?: { readonly old: number; readonly own: number }): Scenario => ({
  name: `a machine that comes back${epochs === undefined ? '' : ' under another lease'} after its server wrote on`,
  ...(epochs === undefined ? {} : { epoch: epochs.own }),
  prepare: endedEarly(epochs?.old),
  run: async (host) => {
    await host.restore();
    await host.follow();
    await host.flush();
    host.write(put('a', 'back'));
    await host.flush();
  },
});

export const scenarios: readonly Scenario[] = [
  {
    name: 'segments behind a snapshot',
    prepare: ended,
    run: async (host) => {
      await host.follow();
      host.write((store) => void store.create());
      host.write((store) => void store.write(newest(store), 'x', { document: 'in a collection' }));
      await host.flush();
      // Such a change has no number.
      host.write((store) => store.rename(newest(store), 'another name'));
      await host.flush();
      host.write(remove('a'));
      await host.flush();
      // The numbers of its writes are used again.
      host.write(
        (store) =>
          store.write(newest(store), 'y', { document: 'goes with it' }) && store.delete(newest(store)),
      );
      host.write(put('a', 'again'));
      await host.flush();
    },
  },
  {
    name: 'a backup while the log goes on',
    prepare: ended,
    run: async (host, { hooks }) => {
      await host.follow();
      host.write(put('a', 'before'));
      hooks.beforeCommit = async () => {
        host.write(put('a', 'while it is made'));
        host.write(put('b', 'while it is made'));
        await host.flush();
      };
      hooks.afterCommit = async () => {
        host.write(remove('b'));
        await host.flush();
      };
      await host.backUp();
      host.write(put('a', 'after'));
      await host.flush();
    },
  },
  {
    name: 'the first backup of a store that is followed',
    prepare: async ({ small }) => {
      const world = newWorld();
      await cp(small.dir, join(world.root, 'store'), { recursive: true });
      hostIn(world).acknowledge();
      return world;
    },
    run: async (host, { hooks }) => {
      await host.follow();
      hooks.beforeCommit = async () => {
        host.write(put('a', 'while it is made'));
        await host.flush();
      };
      await host.backUp();
      host.write(put('a', 'after'));
      await host.flush();
    },
  },
  {
    name: 'a gap, and the snapshot after it',
    prepare: ended,
    run: async (host) => {
      await host.follow();
      host.write(put('a', 'purged'));
      host.write(remove('a'));
      host.write(put('b', 'read too late'));
      host.persist();
      await host.flush();
      await host.backUp();
      host.write(put('a', 'after'));
      await host.flush();
    },
  },
  {
    name: 'a restore on a bare machine',
    replaces: 'newer',
    prepare: lost(),
    run: async (host) => void (await host.restore()),
  },
  {
    name: 'a restore over an older store',
    replaces: 'newer',
    prepare: behind,
    run: async (host) => void (await host.restore()),
  },
  {
    name: 'a restore to an earlier moment',
    replaces: 'older',
    prepare: lost(),
    run: async (host, { world }) => void (await host.restore({ atMs: world.history.moment })),
  },
  takesOver(),
  takesOver({ old: 1, own: 2 }),
  comesBack(),
  comesBack({ old: 1, own: 2 }),
];
