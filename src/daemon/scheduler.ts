import type { Clock } from '../clock.ts';
import { SyncAgentError, messageOf } from '../errors.ts';
import type { BackupReason, ChangeSource, DaemonEvent } from '../events.ts';
import {
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

/** How a turn ended well. */
export type TurnOutcome =
  /** The store equals, or grew from, the snapshot of this instant. */
  | { readonly type: 'saved'; readonly snapshotAtMs: number | null }
  /** The newest snapshot is younger than the interval. */
  | { readonly type: 'too-soon'; readonly snapshotAtMs: number };

export interface TurnOptions {
  readonly signal: AbortSignal;
  /** If it has failed now: when it is tried again, milliseconds since the epoch. */
  readonly retryAtMs: () => number;
}

export interface SchedulerOptions {
  readonly settings: ScheduleSettings;
  readonly clock: Clock;
  readonly emit: (event: DaemonEvent) => void;
  /** Makes one backup. Rejects when it failed; the schedule tries again. */
  readonly backUp: (reason: BackupReason, options: TurnOptions) => Promise<TurnOutcome>;
  /** Told of every change of the state. */
  readonly onState?: (state: ScheduleState, next: PlannedBackup | null) => void;
}

export interface StartPoint {
  /** Since when the store holds what no snapshot has; null when it holds nothing such. */
  readonly dirtySinceMs: number | null;
  readonly lastSnapshotAtMs: number | null;
}

/** Carries a schedule out: one backup at a time, each at its time, until it is stopped. */
export interface Scheduler {
  start(from: StartPoint): void;
  /** Something was, or may have been, written at `atMs`. */
  changed(source: ChangeSource, atMs: number): void;
  /** A backup now, whatever the schedule says, after the one that may be running. Rejects when it fails. */
  backUpNow(reason: BackupReason, options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;
  /** Work that no backup may run beside, after what runs now. */
  exclusively<T>(work: () => Promise<T>): Promise<T>;
  state(): ScheduleState;
  next(): PlannedBackup | null;
  /** Plans nothing more. Resolves when the backup that may be running has ended; `signal` makes it end soon. */
  stop(options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;
}

/** Wall clocks are set and machines sleep: no timer is trusted for longer. */
const longestSleepMs = 60_000;

export function createScheduler({ settings, clock, emit, backUp, onState }: SchedulerOptions): Scheduler {
  let state: ScheduleState = {
    dirtySinceMs: null,
    lastChangeAtMs: null,
    lastSnapshotAtMs: null,
    fixedUntilMs: 0,
    failures: 0,
    retryAtMs: null,
    working: null,
  };
  let sleeper = new AbortController();
  let announced: PlannedBackup | null = null;
  let awaited: PlannedBackup | null = null;
  let loop: Promise<void> | undefined;
  let queue: Promise<void> = Promise.resolve();
  const stopping = new AbortController();
  const interrupting = new AbortController();

  const become = (next: ScheduleState): void => {
    state = next;
    const planned = nextBackup(state, settings);
    // While a backup runs nothing is planned, which its own events say.
    if (state.working === null && !stopping.signal.aborted && isNews(planned, announced)) {
      announced = planned;
      emit({ type: 'scheduled', atMs: planned?.atMs ?? null, reason: planned?.reason ?? null });
    }
    onState?.(state, planned);
    if (planned?.atMs !== awaited?.atMs) sleeper.abort();
  };

  const turn = async (reason: BackupReason, signal: AbortSignal): Promise<void> => {
    become(started(state, clock.now()));
    let chosen: number | undefined;
    const retryAtMs = (): number => (chosen ??= retryTime(state, settings, clock.now(), clock.random()));
    try {
      const outcome = await backUp(reason, { signal, retryAtMs });
      become(
        outcome.type === 'saved'
          ? succeeded(state, outcome.snapshotAtMs)
          : postponed(state, outcome.snapshotAtMs),
      );
    } catch (error) {
      become(failed(state, retryAtMs()));
      throw error;
    }
  };
  const exclusively = <T>(work: () => Promise<T>): Promise<T> => {
    const done = queue.then(work);
    queue = done.then(
      () => undefined,
      () => undefined,
    );
    return done;
  };
  const enqueue = (reason: BackupReason, signal: AbortSignal): Promise<void> =>
    exclusively(() => turn(reason, signal));

  const run = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      state = withClockSetBack(state, clock.now());
      const planned = nextBackup(state, settings);
      const waitMs = (planned?.atMs ?? Infinity) - clock.now();
      if (planned !== null && waitMs <= 0) {
        // It was told by the events of the operation, and is tried again.
        await enqueue(planned.reason, interrupting.signal).catch(() => undefined);
        continue;
      }
      sleeper = new AbortController();
      awaited = planned;
      const { signal } = sleeper;
      await (planned === null ? aborted(signal) : sleep(clock, Math.min(waitMs, longestSleepMs), signal));
    }
  };

  return {
    start: ({ dirtySinceMs, lastSnapshotAtMs }) => {
      if (dirtySinceMs !== null && state.dirtySinceMs === null)
        emit({ type: 'changed', source: 'start', atMs: dirtySinceMs });
      // What was noticed before the look was made may have come after it.
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
    backUpNow: (reason, { signal } = {}) =>
      enqueue(
        reason,
        signal === undefined ? interrupting.signal : AbortSignal.any([signal, interrupting.signal]),
      ),
    exclusively,
    state: () => state,
    next: () => nextBackup(state, settings),
    stop: async ({ signal } = {}) => {
      const interrupt = (): void =>
        interrupting.abort(new SyncAgentError('INTERRUPTED', `Cannot finish: ${messageOf(signal?.reason)}`));
      stopping.abort();
      sleeper.abort();
      if (signal?.aborted === true) interrupt();
      signal?.addEventListener('abort', interrupt, { once: true });
      await loop;
      await queue;
      signal?.removeEventListener('abort', interrupt);
    },
  };
}

/** A busy store moves its first backup by fractions of a second, many times. */
function isNews(planned: PlannedBackup | null, announced: PlannedBackup | null): boolean {
  if (planned === null || announced === null) return planned !== announced;
  return planned.reason !== announced.reason || Math.abs(planned.atMs - announced.atMs) >= 1000;
}

async function sleep(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  await clock.sleep(ms, { signal }).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
