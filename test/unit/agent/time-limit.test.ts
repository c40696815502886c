import { beforeEach, describe, expect, it } from 'vitest';
import { timeLimit } from '../../../src/agent/final-backup.ts';
import { virtualClock } from '../../support/virtual-clock.ts';
import type { VirtualClock } from '../../support/virtual-clock.ts';

let clock: VirtualClock;
const at = (ms: number): number => clock.monotonic() + ms;
beforeEach(() => {
  clock = virtualClock();
});

describe('a time limit', () => {
  it.each([
    [1000, 850],
    // Cleaning up takes three seconds at most.
    [60_000, 57_000],
  ])('of %d ms ends after %d, so that there is time to clean up', async (limitMs, endsMs) => {
    const deadlineMs = at(limitMs);
    const { signal } = timeLimit(deadlineMs, { clock, sooner: undefined });
    await clock.advance(endsMs - 1);
    expect(signal.aborted).toBe(false);
    await clock.advance(1);
    expect(signal.reason).toMatchObject({ code: 'INTERRUPTED', untilMs: deadlineMs });
  });

  it('ends when it must end sooner, also when that was so before', () => {
    const sooner = new AbortController();
    const { signal } = timeLimit(at(60_000), { clock, sooner: sooner.signal });
    sooner.abort();
    expect(signal.reason).toMatchObject({ code: 'INTERRUPTED', untilMs: at(200) });
    expect(timeLimit(Infinity, { clock, sooner: sooner.signal }).signal.aborted).toBe(true);
  });

  it('that is none never ends, and one that is over ends at once', async () => {
    const none = timeLimit(Infinity, { clock, sooner: undefined });
    const over = timeLimit(at(-5), { clock, sooner: undefined });
    expect(clock.pending()).toBe(1);
    await clock.advance(0);
    expect([none.signal.aborted, over.signal.aborted]).toEqual([false, true]);
  });

  it('leaves no timer behind, and hears nothing, when it is released', () => {
    const sooner = new AbortController();
    const { signal, release } = timeLimit(at(1000), { clock, sooner: sooner.signal });
    release();
    expect(clock.pending()).toBe(0);
    sooner.abort();
    expect(signal.aborted).toBe(false);
  });
});
