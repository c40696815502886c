import * as fc from 'fast-check';
import { systemClock } from '../../src/platform/clock.ts';
import type { Clock } from '../../src/platform/clock.ts';
import { finishCommit } from '../../src/engine/backup/after-commit.ts';
import { commitSnapshot } from '../../src/engine/backup/commit.ts';
import type { Context } from '../../src/engine/context.ts';
import { PhaseTimes } from '../../src/platform/phase-times.ts';
import { pin, unpin } from '../../src/engine/history/pin.ts';
import { clearHistory, prune } from '../../src/engine/history/prune.ts';
import { isSyncAgentError } from '../../src/platform/errors.ts';
import { textBody } from '../../src/remotes/body.ts';
import { createMemoryRemote } from '../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../src/remotes/remote.ts';
import { assertLogWhole } from '../../src/log/commit-copies.ts';
import { readLog } from '../../src/log/commit-log.ts';
import type { LogView } from '../../src/log/commit-log.ts';
import { attemptKey, makeSnapshotId } from '../../src/log/layout.ts';
import { historyKey } from '../../src/formats/plain/keys.ts';
import { pinsOf } from '../../src/log/manifest.ts';
import type { Manifest } from '../../src/log/manifest.ts';
import { unresolvedTips } from '../../src/log/retention.ts';
import { nodeFileSystem } from '../../src/platform/file-system.ts';
import { formats } from '../../src/formats/registry.ts';
import { logOf } from './log-of.ts';

export const graceMs = 3_600_000;
export const keepLast = 2;

/** What a host does, in order. */
export type Step = 'backup' | 'prune' | 'clear-history' | 'pin' | 'unpin';

export interface Race {
  /** One program per host. */
  readonly hosts: readonly (readonly Step[])[];
  /** How far the clock moves before each store call, milliseconds; repeated. */
  readonly pauses: readonly number[];
  /** A host that is stopped before one of its calls until all others are through. */
  readonly sleeper: { readonly host: number; readonly call: number } | null;
  readonly seed: number;
}

/** A host that sleeps before a call sleeps for minutes, or past the grace period: the call comes from the dead. */
export const races: fc.Arbitrary<Race> = fc.record({
  hosts: fc.array(
    fc.array(
      fc.oneof(
        { weight: 6, arbitrary: fc.constant<Step>('backup') },
        { weight: 1, arbitrary: fc.constant<Step>('prune') },
        { weight: 1, arbitrary: fc.constant<Step>('clear-history') },
        { weight: 2, arbitrary: fc.constant<Step>('pin') },
        { weight: 1, arbitrary: fc.constant<Step>('unpin') },
      ),
      { minLength: 1, maxLength: 3 },
    ),
    { minLength: 2, maxLength: 3 },
  ),
  pauses: fc.array(
    fc.oneof(
      { weight: 20, arbitrary: fc.constant(0) },
      { weight: 6, arbitrary: fc.integer({ min: 1, max: 600_000 }) },
      { weight: 2, arbitrary: fc.integer({ min: graceMs / 2, max: 3 * graceMs }) },
    ),
    { minLength: 8, maxLength: 40 },
  ),
  // Chance alone holds nobody back for as long as it takes to use a number, and to free it again.
  sleeper: fc.option(fc.record({ host: fc.nat(2), call: fc.integer({ min: 1, max: 30 }) }), { freq: 2 }),
  seed: fc.integer(),
});

/** A guard taken away. The race suite must notice each. */
export interface Mutant {
  /** What a host sees instead of the remote. */
  readonly remote?: (store: Remote) => Remote;
  /** When a backup believes to have begun. */
  readonly startedAt?: Date;
  /** When rotation believes that its commit was made. */
  readonly committedAt?: Date;
  /** The grace period that rotation keeps, and the number of snapshots that a commit keeps. */
  readonly rotationGraceMs?: number;
  readonly keepLast?: number;
}

interface Commit {
  readonly manifest: Manifest;
  /** Whether the log ever named it. */
  readonly wasLive: boolean;
  readonly reported: boolean;
}

/**
 * Runs the programs against one remote, in the interleaving and with the pauses that fast-check chose, and checks after
 * every change of the remote that each live snapshot is whole. Rejects with what went wrong.
 */
export async function runRace(race: Race, scheduler: fc.Scheduler, mutant: Mutant = {}): Promise<void> {
  let now = Date.UTC(2026, 0, 1);
  let calls = 0;
  const memory = createMemoryRemote({ now: () => now });
  const pins: Pins = { promised: new Set(), givenUp: new Set() };
  const everLive = new Set<string>();
  const watched = watch(memory, { pins, everLive });
  const running = new Set(race.hosts.keys());
  let wake = (): void => undefined;
  const gate = async (label: string, host: number, call: number): Promise<void> => {
    if (race.sleeper?.host === host && race.sleeper.call === call && running.size > 1) {
      await new Promise<void>((resolve) => (wake = resolve));
    }
    await scheduler.schedule(Promise.resolve(), label);
    now += race.pauses[calls % race.pauses.length] ?? 0;
    calls += 1;
  };
  const commits: Commit[] = [];
  const random = seeded(race.seed);
  const programs = race.hosts.map(async (steps, index) => {
    let call = 0;
    const seen = gated(watched, (label) => gate(label, index, (call += 1)));
    const honest = contextOf(mutant.remote?.(seen) ?? seen, () => now, random, `host-${index}`);
    const context = {
      ...honest,
      settings: { ...honest.settings, keepLast: mutant.keepLast ?? keepLast },
    };
    let parent: string | null = null;
    for (const step of steps) {
      try {
        if (step === 'prune') await prune(context);
        else if (step === 'clear-history') await clearHistory(context);
        else if (step === 'pin') await pinOne(context, pins);
        else if (step === 'unpin') await unpinOne(context, pins);
        else parent = await backUp(context, parent, { commits, everLive, mutant });
      } catch (error) {
        // Giving up is an answer; the host tries again with its next step.
        if (!isSyncAgentError(error, 'BUSY') && !isSyncAgentError(error, 'NOT_FOUND')) throw error;
      }
    }
    running.delete(index);
    if (running.size === 1) wake();
  });
  await scheduler.waitFor(Promise.all(programs));
  await checkEnd(memory, commits, { race, pins });
}

/** What hosts were told of pins. */
interface Pins {
  /** Pinned: somebody was told so. */
  readonly promised: Set<string>;
  /** Somebody began to unpin it, so that it may go at any moment from then on. */
  readonly givenUp: Set<string>;
}

const noPins: Pins = { promised: new Set(), givenUp: new Set() };

/** Pins the oldest, which others are about to drop. */
async function pinOne(context: Context, { promised, givenUp }: Pins): Promise<void> {
  const oldest = (await readLog(context)).snapshots[0]?.entry.id;
  if (oldest === undefined) return;
  await pin(context, oldest);
  if (!givenUp.has(oldest)) promised.add(oldest);
}

async function unpinOne(context: Context, { promised, givenUp }: Pins): Promise<void> {
  const { head, serverTime } = await readLog(context);
  const [id] = pinsOf(head, serverTime).keys();
  if (id === undefined) return;
  promised.delete(id);
  givenUp.add(id);
  await unpin(context, id);
}

/** The remote half of a backup, as `engine/backup/backup.ts` does it, with a single file that holds its snapshot's id. */
async function backUp(
  context: Context,
  parent: string | null,
  {
    commits,
    everLive,
    mutant,
  }: { readonly commits: Commit[]; readonly everLive: ReadonlySet<string>; readonly mutant: Mutant },
): Promise<string> {
  const { remote, clock } = context;
  const view = await readLog(logOf(remote));
  const copies = await assertLogWhole(remote, view, { readAgain: () => readLog(logOf(remote)) });
  const id = makeSnapshotId(clock.now(), clock.randomHex(4));
  const isFirst = view.head === undefined;
  if (isFirst) await remote.put(attemptKey(id), textBody(''));
  const { serverTime } = await remote.put(historyKey(id, 'f'), textBody(id));
  const draft = draftOf(id, parent, clock);
  const created = await commitSnapshot(context, {
    draft: () => draft,
    view,
    createOnly: true,
    startedAt: mutant.startedAt ?? view.serverTime,
    lastServerTime: serverTime,
  });
  const settings = { ...context.settings, graceMs: mutant.rotationGraceMs ?? graceMs };
  const { serverTime: committedAt } = created;
  await finishCommit(
    { ...context, settings },
    { ...created, serverTime: mutant.committedAt ?? committedAt },
    {
      view,
      copies,
      createOnly: 'enforced',
      rotates: true,
      publishes: false,
      onCommitted: ({ before, manifest }) => {
        const newest = before.snapshots.at(-1)?.entry;
        const reported = newest !== undefined && newest.id !== parent;
        commits.push({ manifest, wasLive: everLive.has(id), reported });
      },
    },
  );
  return id;
}

export function draftOf(
  id: string,
  parent: string | null,
  clock: Clock,
): Omit<Manifest, 'generation' | 'log' | 'resolved'> {
  return {
    format: 1,
    id,
    parent,
    createdAt: new Date(clock.now()).toISOString(),
    uploadId: clock.randomHex(16),
    host: 'race',
    agent: 'race',
    adapter: 'files',
    files: [{ path: 'f', size: id.length, sha256: '0'.repeat(64), mode: 0o600, mtimeMs: 0 }],
    emptyDirectories: [],
    statistics: { records: 1 },
    stall: { heldMs: 0, longestHoldMs: 0 },
  };
}

async function checkEnd(
  store: Remote,
  commits: readonly Commit[],
  { race, pins }: { readonly race: Race; readonly pins: Pins },
): Promise<void> {
  const view = await readLog(logOf(store));
  const generations = commits.map(({ manifest }) => manifest.generation);
  if (new Set(generations).size !== generations.length) fail(`generations repeat: ${generations.join(', ')}`);
  for (const { manifest } of commits.filter(({ wasLive }) => !wasLive)) {
    fail(`snapshot ${manifest.id} was reported as committed and never was live`);
  }
  const live = new Set(view.snapshots.map(({ entry }) => entry.id));
  checkPins(view, pins);
  const mayClear = race.hosts.some((steps) => steps.includes('clear-history'));
  for (const { manifest } of commits.filter((commit) => !live.has(commit.manifest.id))) {
    const newer = commits.filter((commit) => commit.manifest.generation > manifest.generation).length;
    if (newer < (mayClear ? 1 : keepLast))
      fail(`snapshot ${manifest.id} is gone, and only ${newer} are newer`);
  }
  // Two tips at the end, and nobody was told: the worst kind of silence.
  const entries = view.snapshots.map(({ entry }) => entry);
  const tips = unresolvedTips(entries, view.head?.resolved ?? []);
  if (tips.length > 1 && !commits.some((commit) => commit.reported)) fail('a divergence was never reported');
}

function checkPins({ head, serverTime, snapshots }: LogView, { promised }: Pins): void {
  for (const id of promised) {
    if (!snapshots.some(({ entry }) => entry.id === id)) fail(`pinned snapshot ${id} was dropped`);
    if (!pinsOf(head, serverTime).has(id)) fail(`the pin of ${id} was lost`);
  }
}

/** Checks the remote after each change, and that nothing immutable is written twice. Collects what is ever live. */
export function watch(
  store: Remote,
  { pins = noPins, everLive = new Set() }: { readonly pins?: Pins; readonly everLive?: Set<string> } = {},
): Remote {
  const check = async (): Promise<void> => {
    const view = await readLog(logOf(store));
    const { head, snapshots, damaged } = view;
    checkPins(view, pins);
    if (damaged.length > 0) fail(`commit ${damaged[0]?.key} cannot be read`);
    if (head === undefined) return;
    for (const { entry } of snapshots) {
      everLive.add(entry.id);
      const info = await store.head(historyKey(entry.id, 'f'));
      if (info === undefined)
        fail(`live snapshot ${entry.id} (generation ${entry.generation}) lost its file`);
    }
    for (const entry of head.log) {
      if (!view.commits.some(({ generation }) => generation === entry.generation)) {
        fail(`live commit ${entry.generation} is gone`);
      }
    }
  };
  return {
    ...passThrough(store),
    put: async (key, body, options) => {
      const isImmutable = key.startsWith('history/') || /^commits\/[0-9]/.test(key);
      if (isImmutable && options?.ifAbsent !== true && (await store.head(key)) !== undefined) {
        fail(`"${key}" was written twice`);
      }
      const result = await store.put(key, body, options);
      // Only a commit changes what must be there, and only a delete what is.
      if (key.startsWith('commits/')) await check();
      return result;
    },
    remove: async (keys, options) => {
      await store.remove(keys, options);
      await check();
    },
  };
}

function gated(store: Remote, gate: (label: string) => Promise<void>): Remote {
  return {
    ...passThrough(store),
    put: async (key, body, options) => {
      await gate(`put ${key}`);
      return store.put(key, body, options);
    },
    get: async (key, options) => {
      await gate(`get ${key}`);
      return store.get(key, options);
    },
    remove: async (keys, options) => {
      if (keys.length === 0) return;
      await gate(`remove ${keys.length}`);
      await store.remove(keys, options);
    },
    listDirectories: async (prefix, options) => {
      await gate(`directories ${prefix}`);
      return store.listDirectories(prefix, options);
    },
    async *list(prefix, options) {
      await gate(`list ${prefix}`);
      yield* store.list(prefix, options);
    },
  };
}

export function passThrough(store: Remote): Remote {
  return {
    location: store.location,
    put: (key, body, options) => store.put(key, body, options),
    get: (key, options) => store.get(key, options),
    head: (key, options) => store.head(key, options),
    list: (prefix, options) => store.list(prefix, options),
    listDirectories: (prefix, options) => store.listDirectories(prefix, options),
    copy: (from, to, options) => store.copy(from, to, options),
    remove: (keys, options) => store.remove(keys, options),
    sweepUploads: (prefix, before, options) => store.sweepUploads(prefix, before, options),
    close: () => store.close(),
  };
}

export function contextOf(remote: Remote, now: () => number, random: () => number, host: string): Context {
  const unused = (): never => fail('a race touches no disk');
  return {
    remote,
    remoteId: 'race',
    formats,
    home: { store: '/nowhere/store', dir: '/nowhere/home', swap: 'rename' },
    fs: nodeFileSystem,
    clock: {
      ...systemClock,
      now,
      monotonic: now,
      random,
      randomHex: (bytes) =>
        Array.from({ length: bytes * 2 }, () => Math.floor(random() * 16).toString(16)).join(''),
    },
    emit: () => undefined,
    phases: new PhaseTimes({ monotonic: now }),
    settings: {
      keepLast,
      keepHourly: 0,
      keepDaily: 0,
      keepWeekly: 0,
      keepMonthly: 0,
      keepWithinMs: 0,
      graceMs,
      captureTimeoutMs: 1,
      history: 'copy',
      validation: 'quick',
      maxShrink: 0.5,
      warnGrowth: 0,
      onDamage: 'fail',
      rollbackCopies: 1,
      concurrency: 1,
      host,
      agent: 'race',
      prefixBytes: 0,
    },
    detectAdapter: unused,
    adapterNamed: unused,
    diskSpace: unused,
    findStoreUsers: unused,
  };
}

export function seeded(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** No `SyncAgentError`: the program would go on after some of these. */
export function fail(message: string): never {
  throw new Error(`The race broke the protocol: ${message}`);
}
