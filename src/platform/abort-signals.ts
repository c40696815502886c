import { setMaxListeners } from 'node:events';
import { SyncAgentError } from './errors.ts';

/** Resolves when the signal aborts. */
export function whenAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

export interface EitherSignal {
  readonly signal: AbortSignal;
  /** Removes the listeners from both signals. Without it a signal that lives long gathers listeners. */
  readonly release: () => void;
}

/** A signal that aborts when one of the two does, with the same reason. */
export function eitherSignal(one: AbortSignal, other: AbortSignal | undefined): EitherSignal {
  const either = new AbortController();
  // Any number of operations may listen to it.
  setMaxListeners(0, either.signal);
  const sources = other === undefined ? [one] : [one, other];
  const onAbort = (): void => {
    const first = sources.find((source) => source.aborted);
    if (first !== undefined) either.abort(first.reason);
  };
  for (const source of sources) source.addEventListener('abort', onAbort, { once: true });
  onAbort();
  return {
    signal: either.signal,
    release: () => {
      for (const source of sources) source.removeEventListener('abort', onAbort);
    },
  };
}

/**
 * Milliseconds that an interrupted operation has left to clean up. Infinity if the signal has not aborted, or if its
 * reason sets no limit.
 */
export function timeLeft(signal: AbortSignal | undefined): number {
  const reason: unknown = signal?.reason;
  const untilMs = reason instanceof SyncAgentError ? reason.untilMs : undefined;
  return untilMs === undefined ? Infinity : Math.max(0, untilMs - performance.now());
}

/** The result of the promise. Undefined if `latch` aborts first. */
export async function raceAbort<T>(promise: Promise<T>, latch: AbortSignal): Promise<T | undefined> {
  if (latch.aborted) {
    promise.catch(() => undefined);
    return undefined;
  }
  let onAbort = (): void => undefined;
  const closed = new Promise<undefined>((resolve) => {
    onAbort = () => resolve(undefined);
    latch.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([promise, closed]);
  } finally {
    latch.removeEventListener('abort', onAbort);
  }
}
