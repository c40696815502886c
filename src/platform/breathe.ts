import { setImmediate } from 'node:timers/promises';

/** Work that blocks leaves the event loop to others after so many milliseconds. */
const turnMs = 10;

/**
 * For a loop of short calls that block: awaiting the answer of each call lets timers, sockets and signals run now and then.
 * It is undefined most of the time, and awaiting that costs next to nothing.
 */
export function makeBreather(): () => Promise<unknown> | undefined {
  let since = performance.now();
  return () => {
    if (performance.now() - since < turnMs) return undefined;
    return setImmediate().then(() => (since = performance.now()));
  };
}
