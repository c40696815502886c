import pMap from 'p-map';
import { afterEach, describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../src/platform/errors.ts';
import { chances, seededFaults } from '../support/fault-proxy.ts';
import type { ProxyHook } from '../support/fault-proxy.ts';
import {
  expectSound,
  first,
  hour,
  makeWorld,
  outcomeOf,
  places,
  real,
  restoreDate,
  shiftDate,
  within,
} from '../support/fault-world.ts';
import type { Files, Outcome, World } from '../support/fault-world.ts';
import type { Host } from '../support/host.ts';

const seeds = Number(process.env['SYNC_AGENT_TEST_FAULT_SEEDS'] ?? 3);
const firstSeed = Number(process.env['SYNC_AGENT_TEST_SEED'] ?? 1);
/** Most of the time they wait for what does not come. */
const concurrency = 4;

afterEach(restoreDate);
if (real === undefined) {
  describe('random faults before a real server', () => {
    it.skip('needs SYNC_AGENT_TEST_S3_ENDPOINT');
  });
}

describe.each(places)('random faults before $name', ({ open }) => {
  it(
    `every command succeeds or says why, and nothing is lost: seeds ${firstSeed} to ${firstSeed + seeds - 1}`,
    async () => {
      const place = await open();
      const runs = await pMap(
        Array.from({ length: seeds }, (_, index) => firstSeed + index),
        async (seed) => new Run(await makeWorld(place), seed),
      );
      try {
        await pMap(runs, (run) => run.explained(() => run.backUpAndRestore()), { concurrency });
        if (place.canAge) shiftDate(3 * hour);
        await pMap(runs, (run) => run.explained(() => run.prune()), { concurrency });
      } finally {
        for (const { world } of runs) await world.close();
        await place.close();
      }
    },
    60_000 + seeds * 60_000,
  );
});

/** What a command may say under random faults. The grace period is long; nothing is denied or damaged. */
const expectedCodes: readonly ErrorCode[] = ['REMOTE_UNREACHABLE'];

/** Backups, restores on a bare and on an older host, and a prune, all among faults. */
class Run {
  readonly world: World;
  readonly #seed: number;
  readonly #random: () => number;
  readonly #faults: ProxyHook;
  /** Of every snapshot that was ever seen. */
  readonly #contents = new Map<string, Files>();
  #host: Host | undefined;
  #files: Files = first;

  constructor(world: World, seed: number) {
    this.world = world;
    this.#seed = seed;
    this.#random = chances(`run ${seed}`);
    this.#faults = seededFaults(seed, {
      rate: [0.08, 0.2, 0.45][seed % 3] ?? 0.2,
      stallTimeoutMs: world.place.stallTimeoutMs,
      // Files, manifests and commits alike have checksums, listings an end.
      mayDamage: () => true,
    });
  }

  async explained(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (cause) {
      const log = this.world.proxy.log.join('\n  ');
      throw new Error(`seed ${this.#seed}: ${String(cause)}\n  ${log}`, { cause });
    }
  }

  async backUpAndRestore(): Promise<void> {
    const { world } = this;
    const host = (this.#host = await world.host());
    const older = await world.host();
    for (let round = 1; round <= 3; round += 1) {
      this.#files = {
        ...this.#files,
        'a.txt': `round ${round}`,
        [`only-${round}.txt`]: 'x'.repeat(this.#random() * 50_000),
      };
      await host.write(this.#files);
      const before = await this.#listed();
      const outcome = await this.#among(`backup ${round}`, () => host.agent.backup());
      expect(await host.read()).toEqual(this.#files);
      const after = await this.#listed();
      const added = after.filter((id) => !before.includes(id));
      expect(after.slice(0, before.length)).toEqual(before);
      expect(added.length).toBeLessThanOrEqual(1);
      for (const id of added) this.#contents.set(id, this.#files);
      if (outcome.type === 'done') {
        expect(outcome.value).toMatchObject({ type: 'committed', id: added[0], diverged: [] });
      }
      await this.#expectRestored(round === 2 ? older : await world.host());
    }
    await this.#expectRestored(older);
  }

  async prune(): Promise<void> {
    const { world } = this;
    const host = this.#host as Host;
    const before = await this.#listed();
    const kept = before.slice(world.place.canAge ? -2 : -before.length);
    const outcome = await this.#among('prune', () => host.agent.prune());
    const after = await this.#listed();
    expect([before, kept]).toContainEqual(after);
    if (outcome.type === 'done') expect(after).toEqual(kept);
    expect(await host.read()).toEqual(this.#files);
    await expectSound(world, host.root, this.#contents);
  }

  async #expectRestored(target: Host): Promise<void> {
    const was = await target.read();
    const newest = (await this.#listed()).at(-1);
    const outcome = await this.#among('restore', () => target.agent.restore());
    if (outcome.type === 'failed') {
      // Not a byte of it, or it failed when all was done but writing that down.
      expect([was, this.#contents.get(newest ?? '')]).toContainEqual(await target.read());
    } else if (newest === undefined) expect(outcome.value).toEqual({ type: 'empty-remote' });
    else {
      expect(outcome.value).toMatchObject({ id: newest });
      expect(['restored', 'equal']).toContain(outcome.value.type);
      expect(await target.read()).toEqual(this.#contents.get(newest));
    }
  }

  async #listed(): Promise<readonly string[]> {
    const inspector = await this.world.host({ direct: true });
    return (await inspector.agent.list()).map((each) => each.id);
  }

  async #among<T>(name: string, work: () => Promise<T>): Promise<Outcome<T>> {
    const { proxy } = this.world;
    proxy.setFault(this.#faults);
    try {
      const outcome = await within(60_000, name, outcomeOf(work()));
      if (outcome.type === 'failed' && !expectedCodes.includes(outcome.error.code)) throw outcome.error;
      return outcome;
    } finally {
      proxy.setFault(undefined);
      await proxy.accept();
    }
  }
}
