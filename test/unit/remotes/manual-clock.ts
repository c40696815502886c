import type { Clock } from '../../../src/platform/clock.ts';

export interface ManualClock extends Clock {
  /** Every pause asked for, milliseconds. */
  readonly sleeps: readonly number[];
}

/** Time passes only while somebody sleeps, and then at once. */
export function manualClock({ random = () => 0.5 }: { readonly random?: () => number } = {}): ManualClock {
  const sleeps: number[] = [];
  let time = Date.UTC(2026, 10, 21);
  return {
    sleeps,
    now: () => time,
    monotonic: () => time,
    sleep: async (ms, options) => {
      options?.signal?.throwIfAborted();
      sleeps.push(ms);
      time += ms;
    },
    random,
    randomHex: (bytes) => 'ab'.repeat(bytes),
  };
}
