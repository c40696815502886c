import { beforeEach, describe, expect, it } from 'vitest';
import { whenAborted } from '../../../src/platform/abort-signals.ts';
import { finalBackup } from '../../../src/agent/final-backup.ts';
import { virtualClock } from '../../support/virtual-clock.ts';
import type { VirtualClock } from '../../support/virtual-clock.ts';

let clock: VirtualClock;
let began: number;
/** When it was asked whether all is saved, milliseconds after the beginning, and in how many it must be known. */
let looks: (readonly [number, number])[];
beforeEach(() => {
  clock = virtualClock();
  began = clock.monotonic();
  looks = [];
});

const elapsed = (): number => clock.monotonic() - began;

interface Case {
  readonly budgetMs?: number;
  readonly sooner?: AbortSignal;
  readonly backUp: (signal: AbortSignal) => Promise<boolean>;
  /** How long it takes to look, and what comes of it, look by look. */
  readonly lookMs?: number;
  readonly isInSnapshot?: readonly boolean[];
}

function run({ budgetMs = 1000, sooner, backUp, lookMs = 0, isInSnapshot = [] }: Case): Promise<boolean> {
  return finalBackup(
    { deadlineMs: began + budgetMs, signal: sooner },
    {
      clock,
      backUp,
      isInSnapshot: async (leftMs) => {
        looks.push([elapsed(), leftMs]);
        const answer = isInSnapshot[looks.length - 1] ?? false;
        await clock.sleep(lookMs);
        return answer;
      },
    },
  );
}

/** It hangs until its signal aborts, and takes some time to end then. */
const hangs =
  (cleanUpMs = 0) =>
  async (signal: AbortSignal): Promise<boolean> => {
    await whenAborted(signal);
    await clock.sleep(cleanUpMs);
    return false;
  };

describe('the final backup', () => {
  it('that is made says so, asks nothing more, and leaves no timer', async () => {
    const backUp = async (): Promise<boolean> => {
      await clock.sleep(300);
      return true;
    };
    expect(await clock.run(run({ backUp }))).toBe(true);
    expect([elapsed(), looks, clock.pending()]).toEqual([300, [], 0]);
  });

  it('that cannot be made in time is none, unless an earlier one was enough', async () => {
    expect(await clock.run(run({ backUp: hangs(), isInSnapshot: [true] }))).toBe(true);
    expect(looks).toEqual([[500, 500]]);
  });

  it('is none when the store was written since the earlier one: at half time, and at its end', async () => {
    expect(await clock.run(run({ backUp: hangs() }))).toBe(false);
    expect(looks).toEqual([
      [500, 500],
      [850, 150],
    ]);
  });

  it('counts what a slow backup has saved although nobody could say so at half time', async () => {
    expect(await clock.run(run({ backUp: hangs(), isInSnapshot: [false, true] }))).toBe(true);
    expect(elapsed()).toBe(850);
  });

  it('does not look again when no time is left', async () => {
    expect(await clock.run(run({ backUp: hangs(150), isInSnapshot: [false, true] }))).toBe(false);
    expect(looks).toHaveLength(1);
  });

  it('that fails before the time is over is none: nobody asks how the store stands', async () => {
    expect(await clock.run(run({ backUp: async () => false, isInSnapshot: [true] }))).toBe(false);
    expect(looks).toEqual([]);
  });

  it('that fails after half of the time is none, too, whatever was seen then', async () => {
    const backUp = async (): Promise<boolean> => {
      await clock.sleep(600);
      return false;
    };
    expect(await clock.run(run({ backUp, isInSnapshot: [true, true] }))).toBe(false);
    expect(looks).toHaveLength(1);
  });

  it('ends without another look when it is told to end sooner', async () => {
    const sooner = new AbortController();
    const work = run({ sooner: sooner.signal, backUp: hangs(), lookMs: 400, isInSnapshot: [true, true] });
    await clock.advance(600);
    sooner.abort();
    await clock.advance(0);
    expect(await work).toBe(false);
    expect([elapsed(), looks.length]).toEqual([600, 1]);
  });

  it('without a deadline waits for the backup alone', async () => {
    const backUp = async (): Promise<boolean> => {
      await clock.sleep(1e9);
      return true;
    };
    expect(await clock.run(run({ budgetMs: Infinity, backUp, isInSnapshot: [true] }))).toBe(true);
    expect([elapsed(), looks]).toEqual([1e9, []]);
  });
});
