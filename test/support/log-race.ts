import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { logProblems } from '../../src/engine/continuous/verify-log.ts';
import { readLog } from '../../src/log/commit-log.ts';
import type { LogView } from '../../src/log/commit-log.ts';
import { readLeases } from '../../src/log/lease-log.ts';
import { pinsOf } from '../../src/log/manifest.ts';
import { unresolvedTips } from '../../src/log/retention.ts';
import { manifestOf } from '../../src/engine/remote-log.ts';
import type { Context } from '../../src/engine/context.ts';
import { bytesBody, collect } from '../../src/remotes/body.ts';
import { createMemoryRemote } from '../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../src/remotes/remote.ts';
import { isSyncAgentError } from '../../src/platform/errors.ts';
import type { OperationLog } from '../../src/stores/operation-log.ts';
import { fastTmp } from './host.ts';
import { textOf } from './log-race/model-store.ts';
import { RaceHost, ttlMs } from './log-race/race-host.ts';
import { Turns } from './log-race/turns.ts';
import { contextOf, fail, passThrough, seeded } from './race.ts';

/** What is done on a host, in order, once its program runs. `replace`: its machine is lost, and another one starts in its place. */
export type LogStep =
  'write' | 'cut' | 'change' | 'purge' | 'flush' | 'backup' | 'renew' | 'restart' | 'replace' | 'leave';

export interface LogRace {
  readonly hosts: readonly (readonly LogStep[])[];
  readonly hasLeases: boolean;
  /** How far the clock moves before each call of the remote, milliseconds; repeated. */
  readonly pauses: readonly number[];
  /** A host that is stopped before one of its calls until all others are through. */
  readonly sleeper: { readonly host: number; readonly call: number } | null;
  /** How likely the host that went last goes on, in tenths. */
  readonly stickiness: number;
  readonly seed: number;
}

export const logRaces: fc.Arbitrary<LogRace> = fc.record({
  hosts: fc.array(
    fc.array(
      fc.oneof(
        { weight: 6, arbitrary: fc.constant<LogStep>('write') },
        { weight: 6, arbitrary: fc.constant<LogStep>('flush') },
        { weight: 3, arbitrary: fc.constant<LogStep>('backup') },
        { weight: 3, arbitrary: fc.constantFrom<LogStep>('cut', 'change', 'purge') },
        { weight: 3, arbitrary: fc.constantFrom<LogStep>('renew', 'restart', 'replace', 'leave') },
      ),
      { minLength: 1, maxLength: 5 },
    ),
    { minLength: 2, maxLength: 3 },
  ),
  hasLeases: fc.constant(true),
  pauses: fc.array(
    fc.oneof(
      { weight: 24, arbitrary: fc.constant(0) },
      { weight: 6, arbitrary: fc.integer({ min: 1, max: 10_000 }) },
      { weight: 2, arbitrary: fc.integer({ min: ttlMs, max: 3 * ttlMs }) },
    ),
    { minLength: 16, maxLength: 60 },
  ),
  sleeper: fc.option(fc.record({ host: fc.nat(2), call: fc.integer({ min: 1, max: 80 }) }), { freq: 2 }),
  stickiness: fc.nat(9),
  seed: fc.integer(),
});

/** A guard taken away. The suite must notice each. */
export interface LogMutant {
  /** What a host sees instead of the remote. */
  readonly remote?: (remote: Remote) => Remote;
  /** What it sees instead of its store's log. */
  readonly log?: (log: OperationLog) => OperationLog;
}

/** A state that some store was in, and the one before it. */
interface State {
  readonly before: State | undefined;
}

interface Promised {
  readonly host: number;
  readonly state: State;
  /** Of the lease that the host had; 0 without leases. */
  readonly epoch: number;
}

/** What really happened, as no host can see it. */
interface World {
  readonly memory: Remote;
  now: number;
  readonly states: Map<string, State>;
  /** What was told to be saved by a host that had the lease, in order. */
  readonly promised: Promised[];
}

interface Stored {
  readonly key: string;
  readonly bytes: Buffer;
}

interface Beginning {
  readonly objects: readonly Stored[];
  readonly contents: readonly string[];
}

const start = Date.UTC(2026, 0, 1);

/**
 * Runs the programs on one store's log, in the interleaving that the seed chooses, and checks what is in the remote. Rejects with what
 * went wrong.
 */
export async function runLogRace(race: LogRace, mutant: LogMutant = {}): Promise<void> {
  const beginning = await beginningOf(race.hasLeases);
  const world = newWorld();
  for (const { key, bytes } of beginning.objects) await world.memory.put(key, bytesBody(bytes));
  let state: State | undefined;
  for (const content of beginning.contents) world.states.set(content, (state = { before: state }));
  await inDirectory(async (root) => {
    const hosts = await runHosts(world, { race, mutant, root, hasStore: true });
    await checkEnd(world, { race, hosts, root });
  });
}

const newWorld = (): World => {
  const world: World = {
    memory: createMemoryRemote({ now: () => world.now }),
    now: start,
    states: new Map(),
    promised: [],
  };
  return world;
};

async function inDirectory<T>(work: (root: string) => Promise<T>): Promise<T> {
  const root = mkdtempSync(join(fastTmp, 'sync-agent-log-race-'));
  try {
    return await work(root);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

const beginnings = new Map<boolean, Promise<Beginning>>();

/** A snapshot with a log, of a host that is gone. The same for all. */
function beginningOf(hasLeases: boolean): Promise<Beginning> {
  const made = beginnings.get(hasLeases) ?? makeBeginning(hasLeases);
  beginnings.set(hasLeases, made);
  return made;
}

async function makeBeginning(hasLeases: boolean): Promise<Beginning> {
  const world = newWorld();
  const race: LogRace = {
    hosts: [['backup', 'write', 'flush']],
    hasLeases,
    pauses: [0],
    sleeper: null,
    stickiness: 0,
    seed: 1,
  };
  await inDirectory((root) => runHosts(world, { race, mutant: {}, root, hasStore: false }));
  if (world.promised.length === 0) fail('the first host saved nothing');
  const objects: Stored[] = [];
  for await (const page of world.memory.list(''))
    for (const { key, size } of page.objects)
      objects.push({ key, bytes: await collect((await world.memory.get(key)).body, size) });
  return { objects, contents: [...world.states.keys()] };
}

interface Run {
  readonly race: LogRace;
  readonly mutant: LogMutant;
  readonly root: string;
  /** Whether there is a snapshot; else the first host makes one. */
  readonly hasStore: boolean;
}

async function runHosts(world: World, { race, mutant, root, hasStore }: Run): Promise<readonly RaceHost[]> {
  const random = seeded(race.seed);
  const turns = new Turns(random, race.stickiness / 10);
  const running = new Set(race.hosts.keys());
  const unsaved = new Set(race.hosts.keys());
  const calls = race.hosts.map(() => 0);
  let total = 0;
  let failure: { readonly error: unknown } | undefined;
  const onFailure = (error: unknown): void => {
    failure ??= { error };
  };
  const isAsleep = (host: number): boolean =>
    race.sleeper?.host === host && running.size > 1 && running.has(host) && calls[host] === race.sleeper.call;
  const context = readerOf(world, root);
  const store = watched(world.memory, async () => {
    if (race.hasLeases) await checkHolder(world, context);
  });
  const hosts = race.hosts.map((steps, index) => {
    let state: State | undefined;
    const gate = async (call: string): Promise<void> => {
      calls[index] = (calls[index] ?? 0) + 1;
      await turns.wait(index, { weight: 4 });
      tell(index, call);
      world.now += race.pauses[total % race.pauses.length] ?? 0;
      total += 1;
    };
    const seen = gated(mutant.remote?.(store) ?? store, gate);
    const host = new RaceHost({
      root: join(root, String(index)),
      index,
      remote: seen,
      now: () => world.now,
      random,
      hasLeases: race.hasLeases,
      turn: (options) => turns.wait(index, options),
      pass: (ms) => {
        world.now += ms;
      },
      drop: () => turns.drop(index),
      onChange: (content, how) => {
        const text = textOf(content);
        const known = world.states.get(text);
        if (how === 'restored' && known === undefined) fail(`host ${index} restored what never was: ${text}`);
        if (how === 'written' && known !== undefined) fail('a state occurs twice');
        state = known ?? { before: state };
        world.states.set(text, state);
      },
      onFailure,
      wrapLog: mutant.log ?? ((log) => log),
    });
    const work = async (): Promise<void> => {
      if (!hasStore) host.create({ operations: [], rest: 'first' });
      for (const step of ['start', ...steps] as const) {
        await turns.wait(index, { weight: 2 });
        tell(index, step);
        await carryOut(world, host, step, { index, stateOf: () => state });
      }
      await turns.wait(index);
      running.delete(index);
      // Whoever writes once more sees that others went on; or, with a lease, when it renews it.
      for (const others of [running, unsaved]) {
        await turns.wait(index, { isReady: () => others.size === 0 });
        for (const step of ['renew', 'write', 'flush'] as const)
          await carryOut(world, host, step, { index, stateOf: () => state });
        unsaved.delete(index);
      }
      over.add(index);
    };
    work().catch(onFailure);
    return host;
  });
  const over = new Set<number>();
  try {
    await turns.run(
      () => failure !== undefined || over.size === hosts.length,
      (host) => !isAsleep(host),
    );
    if (failure !== undefined) throw failure.error;
    return hosts;
  } finally {
    for (const host of hosts) host.die({ losesDisk: false });
  }
}

let stamps = 0;

async function carryOut(
  world: World,
  host: RaceHost,
  step: LogStep | 'start',
  { index, stateOf }: { readonly index: number; readonly stateOf: () => State | undefined },
): Promise<void> {
  const stamp = (): string => `host ${index}, ${(stamps += 1)}`;
  switch (step) {
    case 'start':
      return startUp(host);
    case 'write':
      return host.change((store) => store.write(stamp()));
    case 'cut':
      return host.change((store) => store.cut(2, stamp()));
    case 'change':
      return host.change((store) => store.change(stamp()));
    case 'purge':
      return host.purge();
    case 'flush':
    case 'leave': {
      const state = stateOf();
      const isSaved = await (step === 'flush' ? host.flush() : host.leave());
      tell(index, isSaved ? 'saved' : 'not saved');
      if (!isSaved || state === undefined) return;
      const epoch = host.lease?.epoch ?? 0;
      if (epoch === (await highestEpoch(world))) world.promised.push({ host: index, state, epoch });
      return;
    }
    case 'backup':
      return host.backup();
    case 'renew':
      return host.renew();
    case 'restart':
    case 'replace':
      // Without a lease, others are not told of a host that died between its commit and the end of the log that it left.
      if (host.lease === undefined) await host.settle();
      host.die({ losesDisk: step === 'replace' });
      return startUp(host);
    default:
      step satisfies never;
  }
}

async function startUp(host: RaceHost): Promise<void> {
  try {
    await host.start();
  } catch (error) {
    // It starts no application then.
    if (!isSyncAgentError(error, 'BUSY')) throw error;
  }
}

/** 0 if nobody ever had a lease. */
const highestEpoch = async ({ memory }: World): Promise<number> =>
  (await readLeases(memory)).newest?.lease?.epoch ?? 0;

/** Nothing that is written once is ever written with other bytes. `check`: after each commit. */
function watched(memory: Remote, check: () => Promise<void>): Remote {
  return {
    ...passThrough(memory),
    put: async (key, body, options) => {
      const bytes = await collect(body.open(), body.size);
      const before = /^(history|commits)\//.test(key) ? await bytesAt(memory, key) : undefined;
      const result = await memory.put(key, bytesBody(bytes), options);
      if (before !== undefined && !before.equals(bytes)) fail(`"${key}" was written twice`);
      if (key.startsWith('commits/')) await check();
      return result;
    },
  };
}

async function bytesAt(memory: Remote, key: string): Promise<Buffer | undefined> {
  const found = await memory.head(key);
  return found && collect((await memory.get(key)).body, found.size);
}

/** A host's way to the remote: lets others go first. */
function gated(store: Remote, gate: (call: string) => Promise<void>): Remote {
  const behind = async <T>(call: string, work: () => Promise<T>): Promise<T> => {
    await gate(call);
    return work();
  };
  return {
    ...passThrough(store),
    put: (key, ...rest) => behind(`put ${key}`, () => store.put(key, ...rest)),
    get: (key, options) => behind(`get ${key}`, () => store.get(key, options)),
    head: (key, options) => behind(`head ${key}`, () => store.head(key, options)),
    remove: async (keys, options) => {
      if (keys.length > 0) await behind(`remove ${keys.join(' ')}`, () => store.remove(keys, options));
    },
    listDirectories: (prefix, options) =>
      behind(`directories ${prefix}`, () => store.listDirectories(prefix, options)),
    async *list(prefix, options) {
      await gate(`list ${prefix}`);
      yield* store.list(prefix, options);
    },
  };
}

/** Of a race that is run again. */
const tell: (host: number, what: string) => void =
  process.env['SYNC_AGENT_TEST_TELL'] === '1'
    ? (host, what) => console.log(`host ${host}: ${what}`)
    : () => undefined;

function readerOf(world: World, root: string): Context {
  const plain = contextOf(world.memory, () => world.now, Math.random, 'reader');
  return { ...plain, home: { ...plain.home, dir: join(root, 'reader') } };
}

/** What the holder of the lease was told to be saved is at every moment in what a restore gives. */
async function checkHolder(world: World, context: Context): Promise<void> {
  const last = world.promised.at(-1);
  if (last === undefined || last.epoch !== (await highestEpoch(world))) return;
  const view = await readLog(context);
  const newest = view.snapshots.at(-1)?.entry;
  if (newest === undefined) return;
  const state = world.states.get(textOf(await RaceHost.contentOf(context, view, newest)));
  if (!isPartOf(last.state, state)) fail(`snapshot ${newest.id} hides what host ${last.host} saved`);
}

async function checkEnd(
  world: World,
  {
    race,
    hosts,
    root,
  }: { readonly race: LogRace; readonly hosts: readonly RaceHost[]; readonly root: string },
): Promise<void> {
  const context = readerOf(world, root);
  const view = await readLog(context);
  const found: State[] = [];
  for (const { entry } of view.snapshots) {
    const { id, position } = await manifestOf(context, view, entry);
    const [problem] = await logProblems(context, { id, position }, { readData: true });
    if (problem !== undefined) fail(`snapshot ${id}: ${problem}`);
    const content = textOf(await RaceHost.contentOf(context, view, entry));
    const state = world.states.get(content);
    if (state === undefined) fail(`snapshot ${id} and its log give what never was: ${content}`);
    found.push(state);
  }
  if (race.hasLeases) await checkHolder(world, context);
  const restored = found.at(-1);
  const isSplit = isDivergenceSeen(view);
  for (const { host, state } of world.promised) {
    if (isPartOf(state, restored)) continue;
    if (!found.some((each) => isPartOf(state, each))) fail(`what host ${host} saved is in no live snapshot`);
    if (!isSplit) fail(`what host ${host} saved is beside the newest snapshot, and nobody sees it`);
    // Without a lease it is the host that goes on beside another one that sees it.
    const heard = race.hasLeases ? [hosts[host]] : hosts;
    if (heard.every((each) => each?.told.size === 0)) fail(`host ${host} was not told that others went on`);
  }
}

/** Several tips, or a pin of what was left. */
function isDivergenceSeen({ head, snapshots, serverTime }: LogView): boolean {
  const entries = snapshots.map(({ entry }) => entry);
  return unresolvedTips(entries, head?.resolved ?? []).length > 1 || pinsOf(head, serverTime).size > 0;
}

function isPartOf(state: State, of: State | undefined): boolean {
  for (let each = of; each !== undefined; each = each.before) if (each === state) return true;
  return false;
}
