import type { Clock } from '../platform/clock.ts';
import { eitherSignal } from '../platform/abort-signals.ts';
import { SyncAgentError } from '../platform/errors.ts';

export interface UntilBegun {
  readonly signal: AbortSignal;
  readonly begun: () => void;
  readonly release: () => void;
}

/** What a hook gets to end, and the hook that is told of it. */
const endingMs = 1000;

/**
 * A signal that aborts with `asked`, and, until `begun` is called, with `stopping`: an operation in whose hook the agent is
 * stopped, or that waits for others, has done nothing that the final backup could not do in better time. One that
 * is made after `stopping` heeds only `asked`.
 */
export function untilBegun(
  stopping: AbortSignal,
  { clock, asked }: { readonly clock: Clock; readonly asked: AbortSignal | undefined },
): UntilBegun {
  const early = new AbortController();
  const { signal, release } = eitherSignal(early.signal, asked);
  const onStop = (): void =>
    early.abort(
      new SyncAgentError('INTERRUPTED', 'Cannot finish: the agent is stopping', {
        untilMs: clock.monotonic() + endingMs,
      }),
    );
  const begun = (): void => stopping.removeEventListener('abort', onStop);
  stopping.addEventListener('abort', onStop, { once: true });
  return {
    signal,
    begun,
    release: () => {
      begun();
      release();
    },
  };
}
