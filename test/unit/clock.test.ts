import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { longestTimerMs, systemClock } from '../../src/platform/clock.ts';

describe('the system clock', () => {
  it.each([longestTimerMs + 1, Infinity])(
    'sleeps for %d ms, which is longer than a timer can',
    async (ms) => {
      const aborter = new AbortController();
      const sleep = systemClock.sleep(ms, { signal: aborter.signal });
      // A timer that is set for too long fires after 1 ms: before this one.
      expect(await Promise.race([sleep, delay(50, 'still asleep')])).toBe('still asleep');
      aborter.abort();
      await expect(sleep).rejects.toMatchObject({ code: 'INTERRUPTED' });
    },
  );
});
