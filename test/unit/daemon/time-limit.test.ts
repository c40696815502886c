import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { timeLimit } from '../../../src/daemon/time-limit.ts';
import { virtualClock } from '../../support/virtual-clock.ts';

const clock = virtualClock();
const at = (ms: number): number => clock.monotonic() + ms;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('a time limit', () => {
  it.each([
    [1000, 850],
    // Cleaning up takes three seconds at most.
    [60_000, 57_000],
  ])('of %d ms ends after %d, so that there is time to clean up', (limitMs, endsMs) => {
    const deadlineMs = at(limitMs);
    const { signal } = timeLimit(deadlineMs, { clock, sooner: undefined });
    vi.advanceTimersByTime(endsMs - 1);
    expect(signal.aborted).toBe(false);
    vi.advanceTimersByTime(1);
    expect(signal.reason).toMatchObject({ code: 'INTERRUPTED', untilMs: deadlineMs });
  });

  it('ends when it must end sooner, also when that was so before', () => {
    const sooner = new AbortController();
    const { signal } = timeLimit(at(60_000), { clock, sooner: sooner.signal });
    sooner.abort();
    expect(signal.aborted).toBe(true);
    expect(timeLimit(Infinity, { clock, sooner: sooner.signal }).signal.aborted).toBe(true);
  });

  it('that is none never ends, and one that is over ends at once', () => {
    const none = timeLimit(Infinity, { clock, sooner: undefined });
    const over = timeLimit(at(-5), { clock, sooner: undefined });
    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(0);
    expect([none.signal.aborted, over.signal.aborted]).toEqual([false, true]);
  });

  it('leaves no timer behind, and hears nothing, when it is released', () => {
    const sooner = new AbortController();
    const { signal, release } = timeLimit(at(1000), { clock, sooner: sooner.signal });
    release();
    expect(vi.getTimerCount()).toBe(0);
    sooner.abort();
    expect(signal.aborted).toBe(false);
  });
});
