import type { Clock } from '../platform/clock.ts';
import { SyncAgentError } from '../platform/errors.ts';

export interface TimeLimit {
  /** Aborts, with INTERRUPTED that tells the deadline, early enough to clean up before it. */
  readonly signal: AbortSignal;
  readonly release: () => void;
}

/** What cleaning up after an interrupted backup may take: of the time that is left, and at most. */
const cleanUpShare = 0.15;
const mostCleanUpMs = 3000;
/** Who is told to end sooner has that long. */
const soonMs = 200;

/** A limit at `deadlineMs` of the monotonic clock, Infinity for none, or when `sooner` aborts. */
export function timeLimit(
  deadlineMs: number,
  { clock, sooner }: { readonly clock: Clock; readonly sooner: AbortSignal | undefined },
): TimeLimit {
  const controller = new AbortController();
  const released = new AbortController();
  const end = (why: string, untilMs: number): void =>
    controller.abort(new SyncAgentError('INTERRUPTED', why, { untilMs }));
  const onSooner = (): void => end('there is no more time', Math.min(deadlineMs, clock.monotonic() + soonMs));
  sooner?.addEventListener('abort', onSooner, { once: true });
  if (sooner?.aborted === true) onSooner();
  const leftMs = Math.max(0, deadlineMs - clock.monotonic());
  if (Number.isFinite(leftMs)) {
    const workMs = leftMs - Math.min(leftMs * cleanUpShare, mostCleanUpMs);
    clock.sleep(workMs, { signal: released.signal }).then(
      () => end(`the ${Math.round(leftMs)} ms there were are over`, deadlineMs),
      () => undefined,
    );
  }
  return {
    signal: controller.signal,
    release: () => {
      released.abort();
      sooner?.removeEventListener('abort', onSooner);
    },
  };
}
