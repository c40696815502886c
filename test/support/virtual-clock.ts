import { interrupted } from '../../src/platform/errors.ts';
import type { Clock } from '../../src/platform/clock.ts';

export interface VirtualClock extends Clock {
  /** Sleeps under way. */
  pending(): number;
  /** Lets time pass, sleep by sleep, until `work` has settled; rejects when nobody sleeps and it has not. */
  run<T>(work: Promise<T>): Promise<T>;
  /** Lets `ms` pass: whoever sleeps wakes in order, at its own time, and does what it can before the next one wakes. */
  advance(ms: number): Promise<void>;
  /** Sets the wall clock forward or back, as a person or a time server does. */
  jump(ms: number): void;
}

interface Sleeper {
  readonly atMs: number;
  readonly wake: () => void;
}

/** Time that passes only when all that could happen at this instant has happened. Both clocks start elsewhere. */
export function virtualClock(): VirtualClock {
  let epoch = Date.UTC(2026, 10, 21);
  let time = 500;
  const sleepers = new Set<Sleeper>();

  const sleep: Clock['sleep'] = (ms, options) =>
    new Promise((resolve, reject) => {
      const signal = options?.signal;
      const abort = (): void => {
        sleepers.delete(sleeper);
        reject(interrupted('Waiting', signal?.reason));
      };
      const sleeper: Sleeper = {
        atMs: time + Math.max(0, ms),
        wake: () => {
          sleepers.delete(sleeper);
          signal?.removeEventListener('abort', abort);
          resolve();
        },
      };
      if (signal?.aborted === true) return abort();
      signal?.addEventListener('abort', abort, { once: true });
      sleepers.add(sleeper);
    });

  const run = async <T>(work: Promise<T>): Promise<T> => {
    let isSettled = false;
    const note = (): void => void (isSettled = true);
    work.then(note, note);
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      if (isSettled) return work;
      const next = earliest();
      if (next === undefined) throw new Error('Nobody sleeps, and the work has not ended');
      time = next.atMs;
      next.wake();
    }
  };

  /** Long enough for chains of promises; nothing here waits for the outside. */
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  };
  const earliest = (): Sleeper | undefined => [...sleepers].toSorted((a, b) => a.atMs - b.atMs)[0];

  const advance = async (ms: number): Promise<void> => {
    const end = time + ms;
    await settle();
    for (let next = earliest(); next !== undefined && next.atMs <= end; next = earliest()) {
      time = next.atMs;
      next.wake();
      await settle();
    }
    time = end;
  };

  return {
    now: () => epoch + time,
    monotonic: () => time,
    sleep,
    random: () => 0.5,
    randomHex: (bytes) => 'ab'.repeat(bytes),
    pending: () => sleepers.size,
    run,
    advance,
    jump: (ms) => {
      epoch += ms;
    },
  };
}
