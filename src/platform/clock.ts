import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { interrupted } from './errors.ts';

/** Time and randomness. They are passed in, so that tests take milliseconds and can be repeated. */
export interface Clock {
  /** This host's wall clock, milliseconds since the epoch. Never used to judge the age of remote objects. */
  now(): number;
  /** A clock that never jumps, milliseconds from an arbitrary start. */
  monotonic(): number;
  /** Resolves after `ms`; rejects with INTERRUPTED when the signal aborts. */
  sleep(ms: number, options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;
  /** Uniform in [0, 1). */
  random(): number;
  /** `bytes` random bytes as lower-case hexadecimal. */
  randomHex(bytes: number): string;
}

/** The longest timer that Node can set. It fires a longer one at once. */
export const longestTimerMs = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: async (ms, options) => {
    try {
      let leftMs = ms;
      for (; leftMs > longestTimerMs; leftMs -= longestTimerMs)
        await delay(longestTimerMs, undefined, { signal: options?.signal });
      await delay(leftMs, undefined, { signal: options?.signal });
    } catch (error) {
      throw interrupted('Waiting', options?.signal?.reason ?? error);
    }
  },
  random: () => Math.random(),
  randomHex: (bytes) => randomBytes(bytes).toString('hex'),
};
