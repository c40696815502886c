import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { concurrently } from '../../src/platform/concurrently.ts';
import { SyncAgentError } from '../../src/platform/errors.ts';
import { nodeFileSystem } from '../../src/platform/file-system.ts';
import type { Remote } from '../../src/remotes/remote.ts';
import { Aftermath } from '../support/log-cuts/after-a-cut.ts';
import type { Cut } from '../support/log-cuts/after-a-cut.ts';
import { isCommit, isSegment, mutants } from '../support/log-cuts/mutants.ts';
import type { Guardless } from '../support/log-cuts/mutants.ts';
import { Camera } from '../support/log-cuts/camera.ts';
import type { LogHost } from '../support/log-cuts/log-host.ts';
import { makeEnded, scenarios } from '../support/log-cuts/scenarios.ts';
import type { Hooks, Scenario } from '../support/log-cuts/scenarios.ts';
import { makeSmallStore } from '../support/log-cuts/small-store.ts';
import { copyWorld, elsewhere, hostIn, remoteOf, removeDisk } from '../support/log-cuts/world.ts';
import type { World } from '../support/log-cuts/world.ts';
import { poweredFileSystem, poweredRemote } from '../support/power.ts';
import type { QueueStore } from '../support/queue-store.ts';
import { passThrough } from '../support/race.ts';

/** One cut of so many. */
const stride = Number(process.env['SYNC_AGENT_TEST_LOG_CUTS'] ?? 3);

let small: QueueStore;
/** By scenario, or by the lease under which it was made. */
const prepared = new Map<unknown, Promise<World>>();
beforeAll(() => {
  small = makeSmallStore();
});
afterAll(async () => {
  small.remove();
  for (const world of prepared.values()) removeDisk(await world);
});

/** A world of its own in which the scenario can run. */
async function worldOf(scenario: Scenario): Promise<World> {
  const endedUnder = (epoch?: number): Promise<World> => madeOnce(epoch, () => makeEnded(small, epoch));
  return copyWorld(await madeOnce(scenario, () => scenario.prepare({ small, endedUnder })));
}

function madeOnce(name: unknown, make: () => Promise<World>): Promise<World> {
  const known = prepared.get(name) ?? make();
  prepared.set(name, known);
  return known;
}

/** Runs the scenario once, and shows what a cut at each of its effects leaves behind. */
async function showCuts(
  scenario: Scenario,
  mutant: Guardless = {},
): Promise<{ readonly cuts: readonly Cut[]; readonly effects: number; readonly world: World }> {
  const world = await worldOf(scenario);
  const cuts: Cut[] = [];
  const hooks: Hooks = {};
  const doomed: { host?: LogHost } = {};
  const camera = new Camera(world.root, world.objects, (image) =>
    cuts.push({ ...image, history: world.history.copy(), isFollowed: doomed.host?.isFollowing === true }),
  );
  const remote = remoteOf(world);
  const powered = poweredRemote(camera, remote);
  const seen = mutant.remote?.(powered) ?? powered;
  const fs = poweredFileSystem(camera, nodeFileSystem);
  const host = hostIn(world, {
    remote: withHooks(seen, hooks),
    fs: mutant.fs?.(fs) ?? fs,
    epoch: scenario.epoch,
  });
  doomed.host = host;
  await scenario.run(host, { world, remote: mutant.remote?.(remote) ?? remote, hooks });
  const { content: whole, isFollowing: isFollowed } = host;
  host.end();
  cuts.push({ ...(await camera.takeLast()), history: world.history.copy(), isFollowed, whole });
  removeDisk(world);
  return { cuts, effects: camera.effects.length, world };
}

function withHooks(remote: Remote, hooks: Hooks): Remote {
  return {
    ...passThrough(remote),
    put: async (key, body, options) => {
      if (isCommit(key)) await hooks.beforeCommit?.();
      const done = await remote.put(key, body, options);
      if (isCommit(key)) await hooks.afterCommit?.();
      return done;
    },
  };
}

/** A mutant is wrong at one of these. */
const ofLog = /\/log\/|log-\w+\.json|commits\//;

/** Resolves to how many effects there were. */
async function cutAll(scenario: Scenario, mutant?: Guardless): Promise<number> {
  const { cuts, effects, world } = await showCuts(scenario, mutant);
  const aftermath = new Aftermath(scenario, world.clock);
  const isChosen = (cut: Cut, index: number): boolean =>
    cut.whole !== undefined || (mutant === undefined ? index % stride === 0 : ofLog.test(cut.name));
  const chosen = cuts.filter(isChosen);
  try {
    await concurrently(
      chosen.map((cut, index) => ({ cut, index })),
      { concurrency: 4 },
      async ({ cut, index }) => {
        try {
          await aftermath.look(cut, index);
        } catch (error) {
          throw new Error(`cut ${cut.name}`, { cause: error });
        }
      },
    );
  } finally {
    for (const { root } of cuts) rmSync(root, { recursive: true, force: true });
  }
  if (process.env['SYNC_AGENT_TEST_TELL'] === '1')
    console.log(scenario.name, effects, cuts.length, chosen.length);
  return effects;
}

/** What failed is done by the next try, and nothing is different. Resolves to how many puts of the log there were. */
async function loseAnswers(scenario: Scenario, isDone: boolean): Promise<number> {
  for (let lost = 1; ; lost += stride) {
    const world = await worldOf(scenario);
    const hooks: Hooks = {};
    const remote = remoteOf(world);
    let puts = 0;
    const fallible: Remote = {
      ...passThrough(remote),
      put: async (key, body, options) => {
        const isLost = (isSegment(key) || isCommit(key)) && (puts += 1) === lost;
        if (isLost && !isDone) throw unreachable();
        const done = await remote.put(key, body, options);
        if (isLost) throw unreachable();
        return done;
      },
    };
    const host = hostIn(world, { remote: withHooks(fallible, hooks), epoch: scenario.epoch });
    await scenario.run(host, { world, remote, hooks });
    expect(host.broken).toBeUndefined();
    host.end();
    expect(world.history.saved).toBe(world.history.states.length - 1);
    const bare = elsewhere(world);
    const restored = hostIn(bare);
    await restored.restore();
    expect(restored.content).toBe(host.content);
    expect(host.wasDivergenceTold).toBe(false);
    expect(await restored.verify()).toMatchObject({ isSound: true });
    removeDisk(bare);
    removeDisk(world);
    if (puts < lost) return puts;
  }
}

const unreachable = (): SyncAgentError =>
  new SyncAgentError('REMOTE_UNREACHABLE', 'the connection was lost', { retryable: true });

const named = (name: string): Scenario => {
  const found = scenarios.find((scenario) => scenario.name === name);
  if (found === undefined) throw new Error(`no scenario "${name}"`);
  return found;
};

describe('a power cut', () => {
  for (const scenario of scenarios) {
    it(`at any effect of ${scenario.name} loses nothing that was saved`, async () => {
      expect(await cutAll(scenario)).toBeGreaterThan(5);
    });
  }

  for (const { name, scenario, without } of mutants) {
    it(`would be caught if ${name}`, async () => {
      await expect(cutAll(named(scenario), without())).rejects.toThrow(/^cut /);
    });
  }
});

describe('an answer that is lost', () => {
  for (const name of [
    'segments behind a snapshot',
    'a backup while the log goes on',
    'the first backup of a store that is followed',
  ]) {
    it.each([
      ['was done', true],
      ['was not done', false],
    ])(`to any put of ${name} changes nothing, if it %s`, async (_, isDone) => {
      expect(await loseAnswers(named(name), isDone)).toBeGreaterThan(2);
    });
  }
});
