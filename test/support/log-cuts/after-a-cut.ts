import { existsSync } from 'node:fs';
import { expect } from 'vitest';
import type { StoredObject } from '../../../src/remotes/memory/memory-remote.ts';
import { copyDisk, remoteDigest } from './camera.ts';
import type { CutImage } from './camera.ts';
import type { History, LogHost } from './log-host.ts';
import type { Scenario } from './scenarios.ts';
import { writtenCollection } from './small-store.ts';
import { elsewhere, hostIn, removeDisk } from './world.ts';
import type { World } from './world.ts';

/** What a cut left behind, and what had been told by then. */
export interface Cut extends CutImage {
  readonly history: History;
  /** The log was being written. */
  readonly isFollowed: boolean;
  /** Nothing was cut: what the store held. */
  readonly whole?: string;
}

/** What a bare machine found, and what it made of it. */
interface Successor {
  readonly found: string;
  /** The remote after it had gone on with the log. */
  readonly objects: ReadonlyMap<string, StoredObject>;
  readonly content: string;
}

/** Looks at what cuts left behind, and lets life go on from it. */
export class Aftermath {
  readonly #scenario: Scenario;
  readonly #clock: World['clock'];
  /** By what was in the remote. */
  readonly #successors = new Map<string, Promise<Successor>>();

  constructor(scenario: Scenario, clock: World['clock']) {
    this.#scenario = scenario;
    this.#clock = clock;
  }

  /** Rejects with what is wrong. `index`: by turns, life goes on from there, or after the server has purged what it had, or is let be. */
  async look(cut: Cut, index: number): Promise<void> {
    if (hasSnapshot(cut)) await this.#lookAtOthers(cut);
    else expect(cut.history.saved, 'something was saved before the first snapshot').toBe(-1);
    for (const [turn, isPurged] of [false, true].entries()) {
      if (isPurged && this.#scenario.replaces !== undefined) continue;
      const world = this.#worldOf(await copyDisk(cut.root), cut);
      const host = await this.#comeUp(cut, world, isPurged);
      if (index % 4 === turn) await goOn(host, world);
      else host.end();
      removeDisk(world);
    }
  }

  /** The ordinary command on the same disk, and the agent. Nothing that was acknowledged there is lost. */
  async #comeUp(cut: Cut, world: World, isPurged: boolean): Promise<LogHost> {
    const { states, saved } = cut.history;
    const { replaces, epoch } = this.#scenario;
    const host = hostIn(world, { epoch });
    if (isPurged) {
      // The server was started before the agent.
      host.write((store) => void store.write(writtenCollection, 'without the agent'));
      host.persist();
    }
    const before = replaces === undefined ? host.content : undefined;
    const { type } = await host.restore();
    expect(type, 'the store was called diverged because of a cut alone').not.toBe('diverged');
    const { content } = host;
    if (replaces === undefined) expect(content).toBe(before);
    else if (cut.whole !== undefined) expect(content).toBe(cut.whole);
    else if (replaces === 'newer') expect(states.lastIndexOf(content)).toBeGreaterThanOrEqual(saved);
    else expect(states).toContain(content);
    await host.follow();
    if (cut.isFollowed && !isPurged) expect(host.broken, 'a cut alone ended the log').toBeUndefined();
    return host;
  }

  async #lookAtOthers(cut: Cut): Promise<void> {
    const successor = await this.#successor(cut);
    const { states, saved } = cut.history;
    const found = states.lastIndexOf(successor.found);
    expect(states, 'a bare machine got a state that was never acknowledged').toContain(successor.found);
    expect(found, 'a bare machine got less than was saved').toBeGreaterThanOrEqual(saved);
    await this.#comeBack(cut, successor);
  }

  /** A machine that takes over, once for each state of the remote. */
  #successor(cut: Cut): Promise<Successor> {
    const digest = remoteDigest(cut.objects);
    const known = this.#successors.get(digest);
    if (known !== undefined) return known;
    const successor = this.#succeed(cut);
    this.#successors.set(digest, successor);
    return successor;
  }

  async #succeed(cut: Cut): Promise<Successor> {
    const world = elsewhere(this.#worldOf(cut.root, cut));
    const { epoch } = this.#scenario;
    const host = hostIn(world, { epoch: epoch === undefined ? undefined : epoch + 1 });
    await host.restore();
    const found = host.content;
    await host.follow();
    await takeUp(host);
    host.write((store) => void store.write(writtenCollection, 'successor'));
    expect(await host.flush()).toBe(true);
    const successor = { found, objects: new Map(world.objects), content: host.content };
    await liveOn(host);
    const { isSound, snapshots } = await host.verify();
    expect({ isSound, snapshots }).toMatchObject({ isSound: true });
    removeDisk(world);
    return successor;
  }

  /** The disk comes back after another machine has taken over. */
  async #comeBack(cut: Cut, successor: Successor): Promise<void> {
    const world = this.#worldOf(await copyDisk(cut.root), { ...cut, objects: successor.objects });
    const { replaces, epoch } = this.#scenario;
    // What a person chose stays.
    if (replaces !== 'older') {
      const host = hostIn(world, { epoch });
      const before = existsSync(host.dir) ? host.content : undefined;
      const { states } = cut.history;
      const hasOwn = before !== undefined && states.lastIndexOf(before) > states.lastIndexOf(successor.found);
      const { type } = await host.restore();
      expect(type, 'what only one of two machines has').toBe(hasOwn ? 'diverged' : 'restored');
      expect(host.content).toBe(hasOwn ? before : successor.content);
    }
    removeDisk(world);
  }

  #worldOf(root: string, { objects, history }: Pick<Cut, 'objects' | 'history'>): World {
    return { root, objects: new Map(objects), history: history.copy(), clock: this.#clock };
  }
}

const hasSnapshot = ({ objects }: Cut): boolean =>
  Array.from(objects.keys()).some((key) => key.startsWith('commits/'));

/** Until a bare machine gets what was written then. */
async function goOn(host: LogHost, world: World): Promise<void> {
  await liveOn(host);
  const bare = elsewhere(world);
  const restored = hostIn(bare);
  await restored.restore();
  expect(restored.content).toBe(host.content);
  removeDisk(bare);
}

/** The log goes on, if need be after another snapshot. */
async function takeUp(host: LogHost): Promise<void> {
  if (!host.isFollowing) {
    await host.backUp();
    await host.look();
  }
  expect(host.broken).toBeUndefined();
}

/** It is written and saved, behind this snapshot and behind the next. */
async function liveOn(host: LogHost): Promise<void> {
  await takeUp(host);
  host.write((store) => void store.write(writtenCollection, 'behind the same snapshot'));
  expect(await host.flush()).toBe(true);
  expect(await host.backUp()).toMatchObject({ type: 'committed', diverged: [] });
  host.write((store) => void store.write(writtenCollection, 'behind the next snapshot'));
  expect(await host.flush()).toBe(true);
  host.end();
  expect(host.wasDivergenceTold).toBe(false);
}
