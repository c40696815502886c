import type { Clock } from '../platform/clock.ts';
import { SyncAgentError } from '../platform/errors.ts';
import type { BackupReason } from '../platform/events.ts';

export interface SaveOptions {
  readonly reason: BackupReason;
  /** By then it has resolved and left the remote clean, on the monotonic clock; Infinity while nobody hurries. */
  readonly deadlineMs: number;
  /** Aborts when it must end sooner than `deadlineMs` said. */
  readonly signal?: AbortSignal | undefined;
}

export interface FinalBackupPorts {
  readonly clock: Clock;
  /** Makes the backup. Resolves to false when it cannot, and soon after the signal aborts; never rejects. */
  readonly backUp: (signal: AbortSignal) => Promise<boolean>;
  /** Whether an earlier backup has saved the store as it is, looked up in so many milliseconds; never rejects. */
  readonly isInSnapshot: (leftMs: number) => Promise<boolean>;
}

/**
 * The last backup, in the time there is. Resolves to whether everything is in a snapshot. When others take up all the
 * time, a hook that hangs for one, it asks whether an earlier backup was enough; but whoever is told to end sooner than
 * agreed looks no more.
 */
export async function finalBackup(
  { deadlineMs, signal: sooner }: Omit<SaveOptions, 'reason'>,
  { clock, backUp, isInSnapshot }: FinalBackupPorts,
): Promise<boolean> {
  const look = async (): Promise<boolean> => {
    const leftMs = Math.floor(deadlineMs - clock.monotonic());
    return leftMs > 0 && isInSnapshot(leftMs);
  };
  /** So that an answer is there in time: from the moment that half of it is over. */
  const lookMeanwhile = (over: AbortSignal): Promise<boolean> => {
    const halfMs = Math.max(0, deadlineMs - clock.monotonic()) / 2;
    return clock.sleep(halfMs, { signal: over }).then(look, () => false);
  };
  const { signal, release } = timeLimit(deadlineMs, { clock, sooner });
  const tried = new AbortController();
  const meanwhile = lookMeanwhile(tried.signal);
  try {
    const isBackedUp = await backUp(signal);
    const isTimeOver = signal.aborted && sooner?.aborted !== true;
    return isBackedUp || (isTimeOver && ((await meanwhile) || (await look())));
  } finally {
    tried.abort();
    release();
  }
}

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
