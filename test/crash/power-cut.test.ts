import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { createMemoryRemote } from '../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../src/remotes/remote.ts';
import { nodeFileSystem } from '../../src/platform/file-system.ts';
import type { FileSystem } from '../../src/platform/file-system.ts';
import type { AgentPorts } from '../../src/in-process/create-agent.ts';
import { createRebuilder } from '../../src/library/rebuilding/create-rebuilder.ts';
import type { AgentSettings } from '../../src/in-process/agent-settings.ts';
import { cutEverywhere, untilCut } from '../support/cut-everywhere.ts';
import { lowerLayer } from '../support/lower-layer.ts';
import { fastTmp, makeHost, readTree, shiftableClock } from '../support/host.ts';
import type { Host } from '../support/host.ts';
import { Power, PowerCut, poweredFileSystem, poweredRemote } from '../support/power.ts';
import { passThrough } from '../support/race.ts';

/** Where the kernel's table would say that something is mounted. */
const mounted = new Set<string>();
vi.mock('../../src/platform/mounts.ts', () => ({
  mountPoints: async () => mounted,
  mountsBelow: async (dir: string) =>
    [...mounted].filter((path) => path.startsWith(`${dir}/`)).map((path) => path.slice(dir.length + 1)),
}));

const hour = 3_600_000;
const old = { 'a.txt': 'old a', 'sub/b.txt': 'same', gone: 'only in old' };
const fresh = { 'a.txt': 'new a!', 'sub/b.txt': 'same', 'more/c.txt': 'only in new' };

const logs = { 'app.log': 'top', 'sub/b.log': 'below', 'cache/x': 'a directory' };
const foreign = { 'lost+found/#1': 'of the file system', '.nfs000000000000000100000002': 'open' };
const exclude = ['*.log', '/cache/'];

interface World {
  readonly remote: Remote;
  readonly clock: ReturnType<typeof shiftableClock>;
  /** The machine whose power is cut. */
  readonly root: string;
  readonly settings: Partial<AgentSettings>;
  readonly ports: Partial<AgentPorts>;
  readonly fs: FileSystem;
}

interface Scenario {
  readonly name: string;
  readonly settings?: Partial<AgentSettings>;
  readonly ports?: (root: string) => Partial<AgentPorts>;
  /** What is between the agent and the disk before `run`. */
  readonly disk?: (store: string) => FileSystem;
  /** Paths in the store where other file systems are mounted. */
  readonly mounts?: readonly string[];
  /** Puts the world in the state in which `run` begins. */
  readonly prepare: (host: Host, other: Host, world: World) => Promise<void>;
  /** `world`: with the disk and the remote of the machine whose power is cut. */
  readonly run: (host: Host, world: World) => Promise<unknown>;
  /** What is in the store all the time and none of its content. */
  readonly leftAlone?: Record<string, string>;
  /** What the store may hold after the cut and one ordinary restore. */
  readonly outcomes: readonly Record<string, string>[];
  /** Options of the restore after the cut. */
  readonly again?: { readonly force: true };
  /** What comes before this effect is the same in another scenario, and is cut there. */
  readonly since?: RegExp;
  /** Whether the first command after the cut is a backup: the application went on without a restart. */
  readonly first: 'restore' | 'backup';
}

const mountPoint = (root: string): Partial<AgentPorts> => ({
  locateHome: async () => ({
    store: join(root, 'store'),
    dir: join(root, 'store', '.sync-agent'),
    swap: 'entries',
  }),
});
/** Room for one store and a few bytes: forces the replacement in place. */
const diskOf =
  (capacity: number) =>
  (root: string): Partial<AgentPorts> => ({
    diskSpace: async () => {
      const trees = [join(root, 'store'), join(root, '.store.sync-agent', 'staging')];
      const texts = (await Promise.all(trees.map(readTree))).flatMap((tree) => Object.values(tree ?? {}));
      return { freeBytes: capacity - texts.join('').length, totalBytes: capacity };
    },
  });
const fullDisk = diskOf(32);
/** The machine is ours alone, and has room. Asking the real one costs more than the rest of a cut. */
const quietMachine: Partial<AgentPorts> = {
  diskSpace: async () => ({ freeBytes: 1e12, totalBytes: 1e12 }),
  findStoreUsers: async () => [],
};

async function remove(host: Host, ...paths: string[]): Promise<void> {
  for (const path of paths) await rm(join(host.store, path));
}

/** The host holds `old` in step with the remote, whose newest snapshot, made elsewhere, holds `fresh`. */
async function behind(host: Host, other: Host): Promise<void> {
  await host.write(old);
  await host.agent.backup();
  await other.agent.restore();
  await remove(other, 'gone');
  await other.write(fresh);
  await other.agent.backup();
}

/** An agent's backup copies the store. */
const asAgent = { local: { minIntervalMs: 0 } };

/** All is downloaded and on disk: how it takes the store's place begins. */
const downloaded = /^link |\/parent-\w+\.json/;

const scenarios: readonly Scenario[] = [
  {
    name: 'the first backup',
    prepare: (host) => host.write(old),
    run: (host) => host.agent.backup(),
    outcomes: [old],
    first: 'backup',
  },
  ...(['reads the store where it lies', 'copies the store first'] as const).map((how): Scenario => ({
    name: `a backup that ${how}, uploads, copies, rotates and sweeps`,
    settings: { keepLast: 2, graceMs: hour },
    prepare: async (host, _other, { remote, clock }) => {
      for (const text of ['1', '2', 'old a']) {
        await host.write({ ...old, 'a.txt': text });
        await host.agent.backup();
        clock.forward(2 * hour);
      }
      await remote.put('history/2020-01-01T00-00-00.000Z-00000000/x', {
        size: 1,
        open: async function* () {
          yield Buffer.from('x');
        },
      });
      clock.forward(2 * hour);
      await remove(host, 'gone');
      await host.write(fresh);
    },
    run: (host) => host.agent.backup(how === 'copies the store first' ? asAgent : {}),
    outcomes: [fresh],
    first: 'backup',
  })),
  {
    name: 'a restore on a bare machine',
    prepare: async (_host, other) => {
      await other.write(fresh);
      await other.agent.backup();
    },
    run: (host) => host.agent.restore(),
    outcomes: [fresh],
    first: 'restore',
  },
  ...(['rename', 'entries'] as const).flatMap((swap) =>
    [false, true].map((skipBackup) => ({
      name: `a restore over an older store, ${swap} swap${skipBackup ? ', without a rollback copy' : ''}`,
      ...(swap === 'entries' ? { ports: mountPoint } : {}),
      prepare: behind,
      run: (host: Host) => host.agent.restore({ skipBackup }),
      outcomes: [fresh],
      first: 'restore' as const,
      ...(skipBackup ? { since: downloaded } : {}),
    })),
  ),
  {
    name: 'a replacement in place, on a disk too full for both',
    ports: fullDisk,
    prepare: behind,
    run: (host) => host.agent.restore(),
    outcomes: [fresh],
    first: 'restore',
  },
  ...(
    [
      ['whole', undefined, logs],
      ['whole, around what is foreign', undefined, { ...logs, ...foreign }],
      ['entry by entry', mountPoint, { ...logs, ...foreign }],
      ['file by file', diskOf(32 + Object.values(logs).join('').length), logs],
    ] as const
  ).map(([how, ports, leftAlone]) => ({
    name: `a restore of a store with excluded files, ${how}`,
    settings: { exclude },
    ...(ports === undefined ? {} : { ports }),
    leftAlone,
    ...(how === 'file by file' ? {} : { since: downloaded }),
    prepare: async (host: Host, other: Host) => {
      await behind(host, other);
      await host.write(leftAlone);
    },
    run: (host: Host) => host.agent.restore(),
    outcomes: [fresh],
    first: 'restore' as const,
  })),
  {
    name: 'a restore over a store that a lower layer of an overlay has',
    disk: lowerLayer,
    prepare: behind,
    run: (host) => host.agent.restore(),
    outcomes: [fresh],
    first: 'restore',
  },
  ...(['rename', 'entries'] as const).map((swap) => ({
    name: `a restore around other mounts in the store, ${swap} swap`,
    ...(swap === 'entries' ? { ports: mountPoint } : {}),
    mounts: ['volume', 'sub/deep/file'],
    since: downloaded,
    leftAlone: { 'volume/x': 'not ours', 'sub/deep/file': 'a mounted file' },
    prepare: async (host: Host, other: Host) => {
      await behind(host, other);
      await host.write({ 'volume/x': 'not ours', 'sub/deep/file': 'a mounted file' });
    },
    // What is mounted counts as written since: a person decides.
    run: (host: Host) => host.agent.restore({ force: true }),
    again: { force: true },
    outcomes: [fresh],
    first: 'restore' as const,
  })),
  {
    name: 'a rollback to a kept copy',
    prepare: async (host, other) => {
      await behind(host, other);
      await host.agent.restore();
    },
    run: async (host) => {
      const [copy] = await host.agent.rollbackCopies();
      await host.agent.rollBack(copy?.name ?? 'none');
    },
    outcomes: [fresh, old],
    first: 'backup',
  },
  {
    name: 'a rebuild',
    prepare: async (host) => {
      await host.write(old);
      await host.agent.backup();
    },
    run: ({ agent, store }, { clock, settings, ports, fs }) =>
      createRebuilder(
        { store, remote: 'file:///unused', ...settings },
        { calls: agent, clock, emit: () => undefined, ...ports, fs },
      )(async (dir) => {
        for (const [path, text] of Object.entries(fresh)) {
          await fs.makeDirectory(dirname(join(dir, path)));
          const file = await fs.openForWrite(join(dir, path));
          await file.write(Buffer.from(text), 0);
          await file.close();
        }
      }),
    outcomes: [fresh, old],
    first: 'backup',
  },
  {
    name: 'clear-history',
    prepare: async (host) => {
      for (const text of ['1', '2', 'old a']) {
        await host.write({ ...old, 'a.txt': text });
        await host.agent.backup();
      }
    },
    run: (host) => host.agent.clearHistory(),
    outcomes: [old],
    first: 'backup',
  },
];

/** A guard taken away, or two steps in the wrong order, by what stands between the agent and its world. */
interface Mutant {
  readonly fs?: (fs: FileSystem) => FileSystem;
  readonly remote?: (remote: Remote) => Remote;
}

const isJournal = (path: string): boolean => path.endsWith('/journal.json');
const nothing = async (): Promise<void> => undefined;

const mutants: readonly (Mutant & { readonly name: string; readonly scenario: string })[] = [
  {
    name: 'a swap wrote no journal',
    scenario: 'a restore over an older store, entries swap',
    fs: (fs) => ({ ...fs, rename: (from, to) => (isJournal(to) ? nothing() : fs.rename(from, to)) }),
  },
  {
    name: 'a replacement in place wrote no journal',
    scenario: 'a replacement in place, on a disk too full for both',
    fs: (fs) => ({ ...fs, rename: (from, to) => (isJournal(to) ? nothing() : fs.rename(from, to)) }),
  },
  {
    name: 'a swap wrote its journal after the first rename',
    scenario: 'a restore over an older store, entries swap',
    fs: (fs) => {
      let late: (() => Promise<void>) | undefined;
      return {
        ...fs,
        rename: async (from, to) => {
          if (isJournal(to)) {
            late = () => fs.rename(from, to);
            return;
          }
          await fs.rename(from, to);
          await late?.();
          late = undefined;
        },
      };
    },
  },
  {
    name: 'a restore removed its journal before the swap was over',
    scenario: 'a restore over an older store, entries swap',
    fs: (fs) => ({
      ...fs,
      rename: async (from, to) => {
        await fs.rename(from, to);
        if (isJournal(to)) await fs.remove(to);
      },
    }),
  },
  {
    name: 'a restore did not sync what it had downloaded',
    scenario: 'a restore over an older store, rename swap',
    fs: (fs) => ({ ...fs, sync: nothing }),
  },
  {
    name: 'a rebuild did not sync what was built',
    scenario: 'a rebuild',
    fs: (fs) => ({ ...fs, sync: nothing }),
  },
  {
    name: 'a swap left behind what is excluded',
    scenario: 'a restore of a store with excluded files, whole',
    fs: (fs) => ({ ...fs, link: nothing }),
  },
  {
    name: 'a commit came before its files',
    scenario: 'the first backup',
    remote: (remote) => {
      const late: (() => Promise<unknown>)[] = [];
      return {
        ...passThrough(remote),
        put: async (key, body, options) => {
          if (key.startsWith('history/') && !key.endsWith('/probe')) {
            late.push(() => remote.put(key, body, options));
            return { serverTime: new Date() };
          }
          const result = await remote.put(key, body, options);
          if (key.startsWith('commits/')) for (const put of late.splice(0)) await put();
          return result;
        },
      };
    },
  },
  {
    name: 'rotation deleted files before the commit that drops them',
    scenario: 'clear-history',
    remote: (remote) => ({
      ...passThrough(remote),
      put: async (key, body, options) => {
        if (key.startsWith('commits/')) {
          const { names } = await remote.listDirectories('history/');
          const oldest = names.find((name) => !name.startsWith('.'));
          await remote.remove([`history/${oldest}/a.txt`, 'a.txt']);
        }
        return remote.put(key, body, options);
      },
    }),
  },
];

/** One cut, and what comes after. Resolves to the switch: it may not have been reached. */
async function suffer(scenario: Scenario, power: Power, mutant: Mutant = {}): Promise<void> {
  const clock = shiftableClock();
  const remote = createMemoryRemote({ now: clock.now });
  const root = await mkdtemp(join(fastTmp, 'sync-agent-cut-'));
  const settings = { ...scenario.settings };
  const ports = { ...quietMachine, ...scenario.ports?.(root) };
  const other = await makeHost({ remote, clock, settings, ports: quietMachine });
  try {
    const host = await makeHost({ remote, clock, root, settings, ports });
    await scenario.prepare(host, other, { remote, clock, root, settings, ports, fs: nodeFileSystem });
    const fs = scenario.disk?.(host.store) ?? nodeFileSystem;
    for (const path of scenario.mounts ?? []) mounted.add(join(host.store, path));
    const newestBefore = (await other.agent.list()).at(-1)?.id;

    const powered = { remote: poweredRemote(power, remote), fs: poweredFileSystem(power, fs) };
    const doomed: World = {
      remote: mutant.remote?.(powered.remote) ?? powered.remote,
      clock,
      root,
      settings,
      ports,
      fs: mutant.fs?.(powered.fs) ?? powered.fs,
    };
    await untilCut(power, scenario.run(await makeHost(doomed), doomed));
    if (power.isCut) await expectSound(scenario, { remote, clock, root, settings, ports, fs }, newestBefore);
  } finally {
    await rm(root, { recursive: true, force: true });
    await other.remove();
  }
}

/** The machine is switched on again: one ordinary command must lead to a whole store and a whole remote. */
async function expectSound(
  scenario: Scenario,
  world: World,
  newestBefore: string | undefined,
): Promise<void> {
  const host = await makeHost(world);
  if (scenario.first === 'restore') await host.agent.restore(scenario.again ?? {});
  else await host.agent.backup();
  const { content, leftAlone } = split(await host.read(), scenario);
  expect(scenario.outcomes).toContainEqual(content);
  expect(leftAlone).toEqual(scenario.leftAlone ?? {});
  const { isSound, snapshots } = await host.agent.verify({ all: true, readData: true });
  expect({ isSound, snapshots }).toMatchObject({ isSound: true });
  // Whatever was the newest before is still there, to the byte.
  if (newestBefore !== undefined) expect(snapshots.map((each) => each.id)).toContain(newestBefore);
  // And life goes on: the next backup commits without a divergence, and a bare machine gets it.
  await host.write({ 'after.txt': 'the cut' });
  expect(await host.agent.backup()).toMatchObject({ type: 'committed', diverged: [] });
  const bare = await makeHost({ remote: world.remote, clock: world.clock, ports: quietMachine });
  try {
    await bare.agent.restore();
    // What is mounted in the store is backed up with it.
    const all = (await host.read()) ?? {};
    expect(await bare.read()).toEqual(scenario.mounts === undefined ? split(all, scenario).content : all);
  } finally {
    await bare.remove();
  }
  const generations = (await host.agent.list()).map((entry) => entry.generation);
  expect(new Set(generations).size).toBe(generations.length);
}

function split(
  files: Readonly<Record<string, string>> = {},
  { leftAlone = {} }: Scenario,
): Record<'content' | 'leftAlone', Record<string, string>> {
  const all = Object.entries(files);
  return {
    content: Object.fromEntries(all.filter(([path]) => !(path in leftAlone))),
    leftAlone: Object.fromEntries(all.filter(([path]) => path in leftAlone)),
  };
}

async function cutAll(scenario: Scenario, mutant?: Mutant): Promise<number> {
  // A mutant may be wrong for the length of a single effect.
  const { since } = scenario;
  return cutEverywhere((power) => suffer(scenario, power, mutant), {
    since,
    ...(mutant === undefined ? {} : { all: true }),
  });
}

describe('a power cut', () => {
  for (const scenario of scenarios) {
    it(`at any effect of ${scenario.name} loses nothing`, async () => {
      expect(await cutAll(scenario)).toBeGreaterThan(5);
    }, 300_000);
  }

  for (const mutant of mutants) {
    it(`would be caught if ${mutant.name}`, async () => {
      const scenario = scenarios.find(({ name }) => name === mutant.scenario);
      if (scenario === undefined) throw new Error(`no scenario "${mutant.scenario}"`);
      await expect(cutAll(scenario, mutant)).rejects.toThrow(/^cut (before|half) effect/);
    }, 300_000);
  }
});

describe('the power switch', () => {
  it('stops everything after the cut', async () => {
    const power = new Power(1, 'before');
    const fs = poweredFileSystem(power);
    await expect(fs.makeDirectory('/nowhere')).rejects.toThrow(PowerCut);
    await expect(fs.makeDirectory(tmpdir())).rejects.toThrow(PowerCut);
  });
});
