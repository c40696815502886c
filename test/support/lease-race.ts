import * as fc from 'fast-check';
import type { Clock } from '../../src/platform/clock.ts';
import { chooseSnapshot } from '../../src/engine/history/choose-snapshot.ts';
import { finishCommit } from '../../src/engine/backup/after-commit.ts';
import { commitSnapshot } from '../../src/engine/backup/commit.ts';
import type { Context } from '../../src/engine/context.ts';
import { divergedTips } from '../../src/engine/tips.ts';
import { acquireLease, releaseLease, renewLease } from '../../src/engine/lease/lease.ts';
import type { Lease } from '../../src/engine/lease/lease.ts';
import { waitForLease } from '../../src/engine/lease/wait-for-lease.ts';
import { SyncAgentError, isSyncAgentError } from '../../src/platform/errors.ts';
import { collect, textBody } from '../../src/remotes/body.ts';
import { createMemoryRemote } from '../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../src/remotes/remote.ts';
import { listCommitCopies } from '../../src/log/commit-copies.ts';
import { readLog } from '../../src/log/commit-log.ts';
import { attemptKey, makeSnapshotId, parseLeaseKey } from '../../src/log/layout.ts';
import { historyKey } from '../../src/formats/plain/keys.ts';
import { readLeases } from '../../src/log/lease-log.ts';
import type { LeaseObject } from '../../src/log/lease-log.ts';
import type { LogEntry, Manifest } from '../../src/log/manifest.ts';
import { epochForCommit } from '../../src/log/precedence.ts';
import { unresolvedTips } from '../../src/log/retention.ts';
import { contextOf, draftOf, fail, keepLast, passThrough, seeded, watch } from './race.ts';
import { logOf } from './log-of.ts';

const ttlMs = 30_000;

/** What a host does, in order. `restore` waits for the lease, and goes on from the newest snapshot. */
export type LeaseStep =
  'acquire' | 'acquire or fail' | 'renew' | 'renew often' | 'release' | 'backup' | 'restore';

interface Program {
  readonly steps: readonly LeaseStep[];
  /** How far this host's clock is from the server's, milliseconds. */
  readonly skewMs: number;
  /** How many turns of the others this host sleeps before each store call; repeated. */
  readonly laps: readonly number[];
  /** The process dies at this store call, before or after its effect. */
  readonly diesAt: number | undefined;
  readonly diesAfter: boolean;
  /** The answers of these calls are lost, but not their effect. */
  readonly lostAnswers: readonly number[];
}

export interface LeaseRace {
  readonly hosts: readonly Program[];
  /** How far the clock moves before each store call, milliseconds; repeated. */
  readonly pauses: readonly number[];
  readonly seed: number;
}

const steps: fc.Arbitrary<readonly LeaseStep[]> = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.constant<LeaseStep>('backup') },
    { weight: 3, arbitrary: fc.constantFrom<LeaseStep>('acquire', 'acquire or fail') },
    { weight: 2, arbitrary: fc.constantFrom<LeaseStep>('renew', 'renew often') },
    { weight: 2, arbitrary: fc.constantFrom<LeaseStep>('release', 'restore') },
  ),
  { minLength: 1, maxLength: 5 },
);

const program: fc.Arbitrary<Program> = fc.record({
  // Most hosts begin with a lease, as hosts that are handed over to do.
  steps: fc.oneof(
    { weight: 1, arbitrary: steps },
    { weight: 4, arbitrary: steps.map((rest): readonly LeaseStep[] => ['acquire', 'restore', ...rest]) },
  ),
  skewMs: fc.oneof(fc.constant(0), fc.integer({ min: -7_200_000, max: 7_200_000 })),
  laps: fc.array(
    fc.oneof(
      { weight: 12, arbitrary: fc.constant(0) },
      { weight: 2, arbitrary: fc.integer({ min: 1, max: 8 }) },
      { weight: 1, arbitrary: fc.constant(60) },
    ),
    { minLength: 1, maxLength: 24 },
  ),
  diesAt: fc.option(fc.nat({ max: 60 }), { nil: undefined, freq: 3 }),
  diesAfter: fc.boolean(),
  lostAnswers: fc.array(fc.nat({ max: 60 }), { maxLength: 3 }),
});

export const leaseRaces: fc.Arbitrary<LeaseRace> = fc.record({
  hosts: fc.array(program, { minLength: 2, maxLength: 3 }),
  pauses: fc.array(
    fc.oneof(
      { weight: 20, arbitrary: fc.constant(0) },
      { weight: 6, arbitrary: fc.integer({ min: 1, max: 20_000 }) },
      { weight: 3, arbitrary: fc.integer({ min: ttlMs, max: 4 * ttlMs }) },
      { weight: 1, arbitrary: fc.integer({ min: 3_600_000, max: 9 * 3_600_000 }) },
    ),
    { minLength: 8, maxLength: 40 },
  ),
  seed: fc.integer(),
});

/** A guard taken away. The race suite must notice each. */
export interface LeaseMutant {
  /** What a host sees instead of the remote; `now` is that host's clock. */
  readonly remote?: (store: Remote, now: () => number) => Remote;
  /** Commits carry no epoch of their own. */
  readonly forgetsEpoch?: boolean;
  /** How readers choose the snapshot to restore. */
  readonly choose?: (entries: readonly LogEntry[]) => LogEntry;
}

interface Commit {
  readonly manifest: Manifest;
  /** What its host had restored or committed before. The manifest names an ancestor where the commit drops this. */
  readonly parent: string | null;
  /** Undefined when the host died before it could say anything. */
  reported: boolean | undefined;
}

/** What really happened, as nobody in the race can see it. */
interface World {
  readonly memory: Remote;
  now: number;
  calls: number;
  /** Epochs in the order in which they were given out. */
  readonly epochs: number[];
  /** The lease numbers that each session made the highest. */
  readonly grants: Map<string, Set<number>>;
  /** By snapshot: the epoch of the lease it was committed under, of one without that of the newest at the time. */
  readonly ranks: Map<string, number>;
  readonly commits: Commit[];
}

interface Host {
  readonly context: Context;
  lease: Lease | undefined;
  parent: string | null;
  /** Said that it takes an unexpired lease away. */
  isTakingOver: boolean;
  /** It looks for the lease, and has seen that the lease is over. */
  sawItOver: boolean;
  isWaiting: boolean;
}

class Crash extends Error {}

/** As `runRace`, of hosts that hand a lease over. Rejects with what went wrong. */
export async function runLeaseRace(
  race: LeaseRace,
  scheduler: fc.Scheduler,
  mutant: LeaseMutant = {},
): Promise<void> {
  const start = Date.UTC(2026, 0, 1);
  const world: World = {
    memory: createMemoryRemote({ now: () => world.now }),
    now: start,
    calls: 0,
    epochs: [],
    grants: new Map(),
    ranks: new Map(),
    commits: [],
  };
  const watched = watch(world.memory);
  const random = seeded(race.seed);
  const turn = async (label: string, laps: number): Promise<void> => {
    for (let lap = 0; lap <= laps; lap += 1) await scheduler.schedule(Promise.resolve(), label);
    world.now += race.pauses[world.calls % race.pauses.length] ?? 0;
    world.calls += 1;
  };
  const programs = race.hosts.map(async (each, index) => {
    let calls = 0;
    const hostNow = (): number => world.now + each.skewMs;
    const gate = async (label: string): Promise<void> => {
      if (each.diesAt === calls && !each.diesAfter) throw new Crash();
      await turn(label, each.laps[calls % each.laps.length] ?? 0);
      calls += 1;
    };
    const afterwards = (): void => {
      if (each.diesAt === calls - 1 && each.diesAfter) throw new Crash();
      if (each.lostAnswers.includes(calls - 1))
        throw new SyncAgentError('REMOTE_UNREACHABLE', 'Cannot call: the connection was reset');
    };
    const store = observed(world, watched, { gate, afterwards, host: () => host, mutant });
    const plain = contextOf(mutant.remote?.(store, hostNow) ?? store, hostNow, random, `host-${index}`);
    const clock: Clock = {
      ...plain.clock,
      sleep: async (ms) => {
        await turn('sleep', 0);
        world.now += ms;
      },
    };
    const host: Host = {
      context: {
        ...plain,
        clock,
        emit: (event) => {
          if (event.type === 'warning' && event.code === 'BUSY') host.isTakingOver = true;
        },
      },
      lease: undefined,
      parent: null,
      isTakingOver: false,
      sawItOver: false,
      isWaiting: false,
    };
    for (const step of each.steps) {
      try {
        await carryOut(world, host, step, mutant);
      } catch (error) {
        if (error instanceof Crash) return;
        // Giving up is an answer; the host goes on with its next step.
        if (!isSyncAgentError(error, 'BUSY') && !isSyncAgentError(error, 'REMOTE_UNREACHABLE')) throw error;
      } finally {
        host.isWaiting = false;
        host.sawItOver = false;
      }
    }
  });
  await scheduler.waitFor(Promise.all(programs));
  await checkEnd(world);
}

async function carryOut(world: World, host: Host, step: LeaseStep, mutant: LeaseMutant): Promise<void> {
  const { context } = host;
  switch (step) {
    case 'acquire':
    case 'acquire or fail': {
      host.isWaiting = true;
      host.isTakingOver = false;
      const onTimeout = step === 'acquire' ? 'take-over' : 'fail';
      const waitMs = step === 'acquire' ? ttlMs / 2 : 3 * ttlMs;
      host.lease = await acquireLease(context, { ttlMs, waitMs, onTimeout });
      assertGranted(world, host.lease);
      return;
    }
    case 'renew':
    case 'renew often':
      for (let count = step === 'renew' ? 1 : 10; count > 0 && host.lease !== undefined; count -= 1) {
        const before = new Set(world.grants.get(host.lease.session));
        const renewed = await renewLease(context, host.lease);
        if (renewed.type === 'lost') return;
        assertGranted(world, renewed.lease);
        if (before.has(renewed.lease.number)) fail(`lease ${renewed.lease.number} was not renewed`);
        host.lease = renewed.lease;
      }
      return;
    case 'release':
      if (host.lease === undefined) return;
      await releaseLease(context, host.lease);
      host.lease = undefined;
      return;
    case 'restore': {
      host.isWaiting = true;
      if (host.lease === undefined) await waitForLease(context, { waitMs: 3 * ttlMs });
      host.isWaiting = false;
      host.parent = (await readLog(context)).snapshots.at(-1)?.entry.id ?? null;
      return;
    }
    case 'backup':
      host.parent = await backUp(world, host, mutant);
      return;
    default:
      step satisfies never;
  }
}

/** The remote half of a backup, as `engine/backup/backup.ts` does it. A host that lost its lease goes on with its epoch. */
async function backUp(world: World, host: Host, mutant: LeaseMutant): Promise<string> {
  const { context, lease, parent } = host;
  const { remote, clock } = context;
  const view = await readLog(logOf(remote));
  const id = makeSnapshotId(clock.now(), clock.randomHex(4));
  const isFirst = view.head === undefined;
  if (isFirst) await remote.put(attemptKey(id), textBody(''));
  const { serverTime } = await remote.put(historyKey(id, 'f'), textBody(id));
  const draft = draftOf(id, parent, clock);
  const epoch = mutant.forgetsEpoch === true ? undefined : lease?.epoch;
  const created = await commitSnapshot(context, {
    draft: ({ snapshots }) => ({
      ...draft,
      ...epochForCommit(
        snapshots.map(({ entry }) => entry),
        epoch,
      ),
    }),
    view,
    createOnly: true,
    startedAt: view.serverTime,
    lastServerTime: serverTime,
  });
  await finishCommit(context, created, {
    view,
    copies: isFirst ? [] : await listCommitCopies(remote),
    createOnly: 'enforced',
    rotates: true,
    publishes: false,
    onCommitted: (committed) => {
      const reported = divergedTips(committed, []).length > 0;
      const recorded = world.commits.find(({ manifest }) => manifest.id === id);
      if (recorded === undefined) fail(`snapshot ${id} was reported, and does not exist`);
      recorded.reported = reported;
      const ranks = committed.before.snapshots.map(({ entry }) => world.ranks.get(entry.id) ?? 0);
      if (lease !== undefined && lease.epoch < Math.max(0, ...ranks) && !reported)
        fail(`a host that lost its lease was not told when it committed ${id}`);
    },
  });
  return id;
}

interface Observation {
  readonly gate: (label: string) => Promise<void>;
  readonly afterwards: () => void;
  readonly host: () => Host;
  readonly mutant: LeaseMutant;
}

/** A host's way to the store: lets others go first, and compares what it does with what is true. */
function observed(world: World, store: Remote, { gate, afterwards, host, mutant }: Observation): Remote {
  return {
    ...passThrough(store),
    put: async (key, body, options) => {
      await gate(`put ${key}`);
      host().sawItOver = false;
      const before = parseLeaseKey(key) === undefined ? undefined : await truthOf(world);
      if (before !== undefined && options?.ifAbsent !== true && (await world.memory.head(key)) !== undefined)
        fail(`"${key}" was written twice`);
      const result = await store.put(key, body, options);
      if (before !== undefined) await checkLease(world, host(), key, before);
      if (key.startsWith('commits/')) await checkCommit(world, host(), key, mutant);
      afterwards();
      return result;
    },
    get: async (key, options) => {
      await gate(`get ${key}`);
      const result = await store.get(key, options).catch((error: unknown) => {
        host().sawItOver = false;
        throw error;
      });
      afterwards();
      return result;
    },
    remove: async (keys, options) => {
      if (keys.length === 0) return;
      await gate(`remove ${keys.length}`);
      await store.remove(keys, options);
      afterwards();
    },
    listDirectories: async (prefix, options) => {
      await gate(`directories ${prefix}`);
      return store.listDirectories(prefix, options);
    },
    async *list(prefix, options) {
      await gate(`list ${prefix}`);
      const isForLease = prefix === 'leases/' && host().isWaiting;
      if (isForLease && host().sawItOver) fail('a host went on waiting for a lease that was over');
      yield* store.list(prefix, options);
      // What it sees of its own, fresh object is no reason to act.
      const truth = await truthOf(world);
      if (isForLease) host().sawItOver = truth.isOver && truth.host !== host().context.settings.host;
      afterwards();
    },
  };
}

/** The lease by the server's clock. */
async function truthOf(world: World) {
  const { newest } = await readLeases(world.memory);
  const lease = newest?.lease;
  const ageMs = world.now - (newest?.lastModified.getTime() ?? 0);
  return {
    number: newest?.number ?? 0,
    lease,
    host: lease?.holder.host,
    isOver: lease === undefined || lease.state === 'released' || ageMs > lease.ttlMs,
  };
}

async function checkLease(
  world: World,
  host: Host,
  key: string,
  before: Awaited<ReturnType<typeof truthOf>>,
): Promise<void> {
  const number = parseLeaseKey(key) ?? 0;
  // Created by a host that slept until its number had been used and swept: it counts for nobody.
  if (number <= before.number) return;
  const { body } = await world.memory.get(key);
  const lease = JSON.parse((await collect(body, 10_000)).toString('utf8')) as LeaseObject;
  if (lease.epoch === number) {
    if (lease.epoch <= Math.max(0, ...world.epochs)) fail(`epoch ${lease.epoch} was given out again`);
    world.epochs.push(lease.epoch);
    if (!before.isOver && !host.isTakingOver) fail(`lease ${before.number} was taken before it was over`);
  } else if (before.lease?.holder.session !== lease.holder.session || before.lease.state === 'released') {
    fail(`lease ${number} renews what its host did not have`);
  }
  const granted = world.grants.get(lease.holder.session) ?? new Set();
  world.grants.set(lease.holder.session, granted.add(number));
}

function assertGranted(world: World, lease: Lease): void {
  if (world.grants.get(lease.session)?.has(lease.number) !== true)
    fail(`a host believes to have lease ${lease.number}`);
}

/** Records under which lease a snapshot was committed, and that readers still choose the one that counts. */
async function checkCommit(world: World, host: Host, key: string, mutant: LeaseMutant): Promise<void> {
  const { body } = await world.memory.get(key);
  const manifest = JSON.parse((await collect(body, 1_000_000)).toString('utf8')) as Manifest;
  const rankOf = (id: string): number => world.ranks.get(id) ?? 0;
  world.ranks.set(
    manifest.id,
    host.lease?.epoch ?? Math.max(0, ...manifest.log.map((entry) => rankOf(entry.id))),
  );
  const { head, snapshots } = await readLog(logOf(world.memory));
  // One that lands below the head is void.
  if (head?.generation === manifest.generation)
    world.commits.push({ manifest, parent: host.parent, reported: undefined });
  const entries = snapshots.map(({ entry }) => entry);
  const expected = entries
    .toSorted((a, b) => rankOf(a.id) - rankOf(b.id) || a.generation - b.generation)
    .at(-1);
  const chosen = mutant.choose?.(entries) ?? chooseSnapshot(entries, undefined);
  if (chosen.id !== expected?.id)
    fail(`snapshot ${chosen.id} of a host that lost its lease hides ${expected?.id}`);
}

async function checkEnd({ memory, commits, ranks }: World): Promise<void> {
  const view = await readLog(logOf(memory));
  const entries = view.snapshots.map(({ entry }) => entry);
  const live = new Set(entries.map((entry) => entry.id));
  const parents = new Set(commits.map(({ parent }) => parent));
  for (const { manifest } of commits.filter((commit) => !live.has(commit.manifest.id))) {
    const rank = (each: Manifest): number => ranks.get(each.id) ?? 0;
    const newer = commits.filter(
      ({ manifest: other }) =>
        rank(other) > rank(manifest) ||
        (rank(other) === rank(manifest) && other.generation > manifest.generation),
    );
    if (newer.length < keepLast) fail(`snapshot ${manifest.id} is gone, and only ${newer.length} are newer`);
    if (!parents.has(manifest.id)) fail(`snapshot ${manifest.id} is gone, and was a tip`);
  }
  const tips = unresolvedTips(entries, view.head?.resolved ?? []);
  if (tips.length > 1 && commits.every((commit) => commit.reported === false))
    fail('a divergence was never reported');
}
