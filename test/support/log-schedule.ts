import { setTimeout as sleep } from 'node:timers/promises';
import { createMemoryRemote } from '../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../src/remotes/remote.ts';
import { unpackFixture } from './fixtures.ts';
import { LogModel, contentOf } from './log-model.ts';
import { makeLogMachine, wipe } from './log-machine.ts';
import type { Fate, LogMachine } from './log-machine.ts';
import { seeded } from './race.ts';

const never = Infinity;

/** What a schedule came to, so that a test sees that something was tried. */
export interface ScheduleCounts {
  kills: number;
  flushes: number;
  lost: number;
  backups: number;
}

/**
 * One store, whose machines die one after the other at any effect, some with their disk. Each time, what is there afterwards is a state
 * that was acknowledged, and none older than the last one that was told to be saved.
 */
export async function runLogSchedule(seed: number, lives: number): Promise<ScheduleCounts> {
  const random = seeded(seed);
  const remote: Remote = createMemoryRemote({ now: Date.now });
  const fate: Fate = { random, faults: 0, dieAt: never };
  const counts: ScheduleCounts = { kills: 0, flushes: 0, lost: 0, backups: 0 };
  let machine = await makeLogMachine(remote, fate);
  unpackFixture('chroma-1-b', machine.host.store);
  let model = new LogModel(machine.host.store, { random, name: 'a', isNew: true });
  /** The youngest state that was told to be saved. */
  let saved = -1;
  try {
    for (let life = 0; life < lives; life += 1) {
      fate.faults = life === 0 ? 0 : random() * 0.15;
      const until = 5 + Math.floor(random() * 60);
      saved = await live(machine, { model, saved, random, counts, isFirst: life === 0, fate, until });
      counts.kills += 1;
      await machine.stop();
      fate.faults = 0;
      fate.dieAt = never;
      const { root } = machine.host;
      const hasDisk = random() < 0.4;
      if (!hasDisk) await wipe(root);
      const next = await makeLogMachine(remote, fate, hasDisk ? { root } : {});
      await next.host.agent.restore();
      const content = contentOf(next.host.store);
      const found = model.states.lastIndexOf(content);
      if (found === -1)
        throw new Error(
          `after life ${life} the store is no state that was acknowledged (disk: ${hasDisk}):\n${content}\n${model.states.at(-1)}`,
        );
      if (hasDisk && found !== model.states.length - 1)
        throw new Error(`life ${life} had its disk, and is back at ${found} of ${model.states.length - 1}`);
      if (found < saved)
        throw new Error(
          `life ${life} saved state ${saved} of ${model.states.length - 1}, and only ${found} came back`,
        );
      counts.lost += model.states.length - 1 - found;
      machine = next;
      if (hasDisk) continue;
      model = new LogModel(next.host.store, {
        random,
        name: String.fromCodePoint(98 + life),
        isNew: false,
      });
      saved = 0;
    }
    return counts;
  } finally {
    await machine.stop();
    await machine.host.remove();
  }
}

interface Life {
  readonly model: LogModel;
  readonly saved: number;
  readonly random: () => number;
  readonly counts: ScheduleCounts;
  readonly isFirst: boolean;
  readonly fate: Fate;
  readonly until: number;
}

/** Until the machine dies: the youngest state that was told to be saved. */
async function live(
  machine: LogMachine & { start(): void },
  { model, saved, random, counts, isFirst, fate, until }: Life,
): Promise<number> {
  let youngest = saved;
  const waits: Promise<unknown>[] = [];
  machine.start();
  let backingUp: Promise<unknown> | undefined;
  const backUp = async (): Promise<void> => {
    if ((await machine.backup()) !== undefined) counts.backups += 1;
    backingUp = undefined;
  };
  const flush = async (asked: number): Promise<void> => {
    if (!(await machine.flush()) || machine.isDead()) return;
    counts.flushes += 1;
    youngest = Math.max(youngest, asked);
  };
  for (let step = 0; step < until && !machine.isDead(); step += 1) {
    // The first machine makes a snapshot before anything can be lost.
    if (step === until >> 1 && (!isFirst || counts.backups > 0))
      fate.dieAt = machine.effects() + 1 + Math.floor(random() * 40);
    for (let count = Math.floor(random() * 4); count > 0; count -= 1) model.step();
    if ((machine.isDue() || random() < 0.06) && backingUp === undefined) {
      backingUp = backUp();
      waits.push(backingUp);
    }
    if (isFirst && counts.backups === 0) {
      await backingUp;
      await sleep(2);
      step -= 1;
      continue;
    }
    if (random() < 0.2) {
      waits.push(flush(model.states.length - 1));
      if (random() < 0.5) await Promise.race([waits.at(-1), sleep(300)]);
    }
    await sleep(random() * 12);
  }
  machine.kill();
  await Promise.all(waits);
  return youngest;
}
