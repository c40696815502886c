import type { Clock } from '../../src/clock.ts';

export interface VirtualClock extends Clock {
  /** Lets `ms` pass: whoever sleeps wakes in order, at its own time, and does what it can before the next one wakes. */
  advance(ms: number): Promise<void>;
  /** Sets the wall clock forward or back, as a person or a time server does. */
  jump(ms: number): void;
}

interface Sleeper {
  readonly wakeAt: number;
  readonly wake: () => void;
}

/** Time that passes only by `advance`. */
export function virtualClock(startMs = Date.UTC(2026, 10, 21)): VirtualClock {
  let elapsed = 0;
  let offset = startMs;
  const sleepers = new Set<Sleeper>();
  const settle = async (): Promise<void> => {
    // Long enough for chains of promises; nothing here waits for the outside.
    for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  };
  return {
    now: () => offset + elapsed,
    monotonic: () => elapsed,
    random: () => 0.5,
    randomHex: (bytes) => 'ab'.repeat(bytes),
    sleep: (ms, options) =>
      new Promise((resolve, reject) => {
        const signal = options?.signal;
        const stop = (): void => {
          sleepers.delete(sleeper);
          reject(new Error('aborted'));
        };
        const sleeper: Sleeper = {
          wakeAt: elapsed + ms,
          wake: () => {
            signal?.removeEventListener('abort', stop);
            resolve();
          },
        };
        if (signal?.aborted === true) return stop();
        sleepers.add(sleeper);
        signal?.addEventListener('abort', stop, { once: true });
      }),
    advance: async (ms) => {
      const end = elapsed + ms;
      await settle();
      for (;;) {
        const next = [...sleepers].toSorted((a, b) => a.wakeAt - b.wakeAt)[0];
        if (next === undefined || next.wakeAt > end) break;
        sleepers.delete(next);
        elapsed = Math.max(elapsed, next.wakeAt);
        next.wake();
        await settle();
      }
      elapsed = end;
    },
    jump: (ms) => {
      offset += ms;
    },
  };
}
