import { setMaxListeners } from 'node:events';
import { SyncAgentError } from './errors.ts';

/** Resolves when the signal aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

export interface EitherSignal {
  readonly signal: AbortSignal;
  /** Lets go of both. Without it one that lives long would gather what it was once combined with. */
  readonly release: () => void;
}

/** Aborts, with its reason, when one of two signals does. */
export function eitherSignal(one: AbortSignal, other: AbortSignal | undefined): EitherSignal {
  const either = new AbortController();
  // As many wait for it as there is work.
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

/** Milliseconds until what the signal has interrupted must have ended; Infinity before, and where nobody said. */
export function timeLeft(signal: AbortSignal | undefined): number {
  const reason: unknown = signal?.reason;
  const untilMs = reason instanceof SyncAgentError ? reason.untilMs : undefined;
  return untilMs === undefined ? Infinity : Math.max(0, untilMs - performance.now());
}
