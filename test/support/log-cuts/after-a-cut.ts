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

  /** Rejects with what is wrong. `isPersisted`: the server was started again before the agent, and persisted all. */
  async look(cut: Cut, { isPersisted }: { readonly isPersisted: boolean }): Promise<void> {
    const successor = await this.#successor(cut);
    const { states, saved } = cut.history;
    const found = states.lastIndexOf(successor.found);
    expect(states, 'a bare machine got a state that was never acknowledged').toContain(successor.found);
    expect(found, 'a bare machine got less than was saved').toBeGreaterThanOrEqual(saved);
    await this.#comeBack(cut, successor);
    if (!isPersisted) await this.#outliveServer(cut);
    await this.#goOn(cut, isPersisted);
  }

  /** The ordinary command on the same disk. Nothing that was acknowledged there is lost. */
  async #goOn(cut: Cut, isPersisted: boolean): Promise<void> {
    const { history } = cut;
    const { states, saved } = history;
    const { replaces, epoch } = this.#scenario;
    const world = this.#worldOf(cut.root, cut);
    const host = hostIn(world, { epoch });
    if (isPersisted && replaces === undefined) host.persist();
    const { type } = await host.restore();
    expect(type, `${isPersisted}`).not.toBe('diverged');
    const { content } = host;
    if (cut.whole !== undefined) expect(content).toBe(cut.whole);
    else if (replaces === undefined) expect(content).toBe(states.at(-1));
    else if (replaces === 'newer') expect(states.lastIndexOf(content)).toBeGreaterThanOrEqual(saved);
    else expect(states).toContain(content);
    await host.follow();
    if (cut.isFollowed && !isPersisted) expect(host.broken, 'a cut alone ended the log').toBeUndefined();
    await liveOn(host);
    const bare = elsewhere(world);
    const restored = hostIn(bare);
    await restored.restore();
    expect(restored.content).toBe(host.content);
    removeDisk(bare);
    removeDisk(world);
  }

  /** The server was started again before the agent, and persisted all. */
  async #outliveServer(cut: Cut): Promise<void> {
    const { replaces, epoch } = this.#scenario;
    if (replaces !== undefined) return;
    const world = this.#worldOf(await copyDisk(cut.root), cut);
    const host = hostIn(world, { epoch });
    host.persist();
    const { type } = await host.restore();
    expect(type, 'the store was called diverged because of a cut alone').not.toBe('diverged');
    expect(host.content).toBe(cut.history.states.at(-1));
    removeDisk(world);
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
