import { setMaxListeners } from 'node:events';

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
