import type { Clock } from '../platform/clock.ts';
import { SyncAgentError } from '../platform/errors.ts';
import type { BackupReason } from '../platform/events.ts';

export interface SaveOptions {
  readonly reason: BackupReason;
  /** It resolves by then, with a clean remote. On the monotonic clock; Infinity for no limit. */
  readonly deadlineMs: number;
  /** Aborts if it must end before `deadlineMs`. */
  readonly signal?: AbortSignal | undefined;
}

export interface FinalBackupPorts {
  readonly clock: Clock;
  /** Makes the backup. Resolves to false if it cannot, and soon after the signal aborts; never rejects. */
  readonly backUp: (signal: AbortSignal) => Promise<boolean>;
  /** Whether an earlier backup has saved the store as it is, answered within `leftMs`; never rejects. */
  readonly isInSnapshot: (leftMs: number) => Promise<boolean>;
}

/**
 * Makes the last backup in the time that is left. Resolves to whether everything is in a snapshot. If the time runs out, because a
 * hook hangs for example, it asks whether an earlier backup was enough. It does not ask if it is told to end sooner than
 * agreed.
 */
export async function finalBackup(
  { deadlineMs, signal: sooner }: Omit<SaveOptions, 'reason'>,
  { clock, backUp, isInSnapshot }: FinalBackupPorts,
): Promise<boolean> {
  const isEnough = async (): Promise<boolean> => {
    const leftMs = Math.floor(deadlineMs - clock.monotonic());
    return leftMs > 0 && isInSnapshot(leftMs);
  };
  /** Starts at half of the time, so that the answer is there at its end. */
  const askAtHalfTime = (over: AbortSignal): Promise<boolean> => {
    const halfMs = Math.max(0, deadlineMs - clock.monotonic()) / 2;
    return clock.sleep(halfMs, { signal: over }).then(isEnough, () => false);
  };
  const { signal, release } = timeLimit(deadlineMs, { clock, sooner });
  const tried = new AbortController();
  const meanwhile = askAtHalfTime(tried.signal);
  try {
    const isBackedUp = await backUp(signal);
    const isTimeOver = signal.aborted && sooner?.aborted !== true;
    return isBackedUp || (isTimeOver && ((await meanwhile) || (await isEnough())));
  } finally {
    tried.abort();
    release();
  }
}

export interface TimeLimit {
  /** Aborts early enough to clean up before the deadline, with an INTERRUPTED that names it. */
  readonly signal: AbortSignal;
  readonly release: () => void;
}

/** How long cleaning up after an interrupted backup may take: a share of the time that is left, and a maximum. */
const cleanUpShare = 0.15;
const mostCleanUpMs = 3000;
/** How long it has when it is told to end sooner. */
const soonMs = 200;

/** A limit at `deadlineMs` of the monotonic clock (Infinity: none), or when `sooner` aborts. */
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
