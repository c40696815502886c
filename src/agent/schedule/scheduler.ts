import { whenAborted } from '../../platform/abort-signals.ts';
import type { BackupResult } from '../../engine/backup/backup.ts';
import { epochMsOf } from '../../log/layout.ts';
import type { Clock } from '../../platform/clock.ts';
import { SyncAgentError, isSyncAgentError, messageOf } from '../../platform/errors.ts';
import type { BackupReason, ChangeSource, DaemonEvent } from '../../platform/events.ts';
import {
  abandoned,
  changed,
  failed,
  nextBackup,
  postponed,
  retryTime,
  started,
  succeeded,
  withClockSetBack,
} from './schedule.ts';
import type { PlannedBackup, ScheduleSettings, ScheduleState } from './schedule.ts';
import { turnQueue } from './turn-queue.ts';

/** What a backup gets when its turn comes. */
export interface BackupAttempt {
  readonly signal: AbortSignal;
  /** When the backup is tried again if it fails now, milliseconds since the epoch; null: never. */
  readonly retryAtMs: () => number | null;
}

export interface SchedulerOptions {
  readonly settings: ScheduleSettings;
  readonly clock: Clock;
  readonly emit: (event: DaemonEvent) => void;
  /** The scheduled backup. It is tried again if it rejects. */
  readonly backUp: BackUp;
  /** Called after every change of the state. */
  readonly onState?: (state: ScheduleState, next: PlannedBackup | null) => void;
}

/** Makes one backup. Rejects if it failed. */
export type BackUp = (reason: BackupReason, attempt: BackupAttempt) => Promise<BackupResult>;

export interface BackUpNowOptions {
  /** Ends the backup, or the wait for its turn. */
  readonly signal?: AbortSignal | undefined;
  /** Instead of the scheduled backup. A failure leaves the schedule as it was. */
  readonly by?: BackUp;
}

export interface StartPoint {
  /** Since when the store holds something that no snapshot has; null if all is saved. */
  readonly dirtySinceMs: number | null;
  readonly lastSnapshotAtMs: number | null;
}

/** Carries the schedule out: one backup at a time, each when it is due, until it is stopped. */
export interface Scheduler {
  start(from: StartPoint): void;
  /** The store was, or may have been, written at `atMs`. */
  changed(source: ChangeSource, atMs: number): void;
  /** Whether the log of the store's own writes needs a snapshot to go on from. */
  logDue(isDue: boolean): void;
  /** Makes a backup now, whatever the schedule says, after the running one. Rejects if it fails. */
  backUpNow(reason: BackupReason, options?: BackUpNowOptions): Promise<BackupResult>;
  /**
   * Runs work that must not run beside a backup, after what runs now. `signal` ends the wait for its turn; the work gets a signal that
   * aborts with it, and when the scheduler is stopped.
   */
  exclusively<T>(work: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T>;
  state(): ScheduleState;
  next(): PlannedBackup | null;
  /** Plans nothing more. Resolves when all that runs or waits has ended; `signal` makes it end soon. */
  stop(options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;
}

/** No timer is trusted for longer: wall clocks are set, and machines sleep. */
const longestSleepMs = 60_000;

export function createScheduler({ settings, clock, emit, backUp, onState }: SchedulerOptions): Scheduler {
  let state: ScheduleState = {
    dirtySinceMs: null,
    lastChangeAtMs: null,
    lastSnapshotAtMs: null,
    logDueSinceMs: null,
    fixedUntilMs: 0,
    failures: 0,
    retryAtMs: null,
    working: null,
  };
  let sleeper = new AbortController();
  let announced: PlannedBackup | null = null;
  let awaited: PlannedBackup | null = null;
  let loop: Promise<void> | undefined;
  const stopping = new AbortController();
  const interrupting = new AbortController();
  const queue = turnQueue(interrupting.signal);

  const become = (next: ScheduleState): void => {
    state = next;
    const planned = nextBackup(state, settings);
    // While a backup runs nothing is planned, as its own events say.
    if (state.working === null && !stopping.signal.aborted && isNews(planned, announced)) {
      announced = planned;
      emit({ type: 'scheduled', atMs: planned?.atMs ?? null, reason: planned?.reason ?? null });
    }
    onState?.(state, planned);
    if (planned?.atMs !== awaited?.atMs) sleeper.abort();
  };

  const turn = async (
    reason: BackupReason,
    signal: AbortSignal,
    by: BackUp | undefined,
  ): Promise<BackupResult> => {
    become(started(state, clock.now()));
    let chosen: number | undefined;
    const retryAtMs = (): number => (chosen ??= retryTime(state, settings, clock.now(), clock.random()));
    try {
      const result = await (by ?? backUp)(reason, {
        signal,
        retryAtMs: () => (by !== undefined || stopping.signal.aborted ? null : retryAtMs()),
      });
      become(after(state, result));
      return result;
    } catch (error) {
      become(by === undefined ? failed(state, retryAtMs()) : abandoned(state));
      throw error;
    }
  };
  const enqueue = (reason: BackupReason, { signal, by }: BackUpNowOptions = {}): Promise<BackupResult> =>
    queue.enter((either) => turn(reason, either, by), signal);

  const run = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      state = withClockSetBack(state, clock.now());
      const planned = nextBackup(state, settings);
      const waitMs = (planned?.atMs ?? Infinity) - clock.now();
      if (planned !== null && waitMs <= 0) {
        // The operation's event has told the failure, and it is tried again.
        await enqueue(planned.reason).catch(() => undefined);
        continue;
      }
      sleeper = new AbortController();
      awaited = planned;
      const { signal } = sleeper;
      await (planned === null ? whenAborted(signal) : sleep(clock, Math.min(waitMs, longestSleepMs), signal));
    }
  };

  return {
    start: ({ dirtySinceMs, lastSnapshotAtMs }) => {
      if (dirtySinceMs !== null && state.dirtySinceMs === null)
        emit({ type: 'changed', source: 'start', atMs: dirtySinceMs });
      // A change that was noticed before may have come after the start point was read.
      const known = {
        ...state,
        dirtySinceMs: dirtySinceMs ?? state.dirtySinceMs,
        lastChangeAtMs: state.lastChangeAtMs ?? dirtySinceMs,
        lastSnapshotAtMs,
      };
      become(withClockSetBack(known, clock.now()));
      loop ??= run();
    },
    changed: (source, atMs) => {
      if (state.dirtySinceMs === null) emit({ type: 'changed', source, atMs });
      become(changed(state, atMs));
    },
    logDue: (isDue) => {
      if (isDue !== (state.logDueSinceMs !== null))
        become({ ...state, logDueSinceMs: isDue ? clock.now() : null });
    },
    backUpNow: enqueue,
    exclusively: (work, signal) => queue.enter(work, signal),
    state: () => state,
    next: () => nextBackup(state, settings),
    stop: async ({ signal } = {}) => {
      const interrupt = (): void =>
        interrupting.abort(
          new SyncAgentError('INTERRUPTED', `Cannot finish: ${messageOf(signal?.reason)}`, {
            untilMs: isSyncAgentError(signal?.reason) ? signal.reason.untilMs : undefined,
          }),
        );
      stopping.abort();
      sleeper.abort();
      if (signal?.aborted === true) interrupt();
      signal?.addEventListener('abort', interrupt, { once: true });
      await loop;
      await queue.empty();
      signal?.removeEventListener('abort', interrupt);
    },
  };
}

function after(state: ScheduleState, result: BackupResult): ScheduleState {
  switch (result.type) {
    case 'committed':
    case 'unchanged':
      return succeeded(state, epochMsOf(result.id));
    case 'too-soon':
      return postponed(state, epochMsOf(result.id));
    case 'planned':
      return abandoned(state);
    default:
      return result satisfies never;
  }
}

/** A busy store moves its first backup by fractions of a second many times, which is no news. */
function isNews(planned: PlannedBackup | null, announced: PlannedBackup | null): boolean {
  if (planned === null || announced === null) return planned !== announced;
  return planned.reason !== announced.reason || Math.abs(planned.atMs - announced.atMs) >= 1000;
}

async function sleep(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  await clock.sleep(ms, { signal }).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}
