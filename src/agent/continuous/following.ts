import type { OperationsFor } from '../../api/operations.ts';
import type { Home } from '../../home/home.ts';
import { isLogFollowed } from '../../home/lock.ts';
import type { Clock } from '../../platform/clock.ts';
import { SyncAgentError, isSyncAgentError, messageOf } from '../../platform/errors.ts';
import type { AgentEvent } from '../../platform/events.ts';
import { noRequests } from '../../platform/events.ts';

export interface FollowingOptions {
  readonly home: Home;
  /** Time between a write and the segment that has it, milliseconds. */
  readonly intervalMs: number;
  readonly operationsFor: OperationsFor;
  readonly clock: Clock;
  readonly emit: (event: AgentEvent) => void;
  /** Whether a snapshot is needed, from which the log goes on. */
  readonly onSnapshotDue: (isDue: boolean) => void;
  /** Of the lease that this host has, or had. May wait for the one that it is about to take. */
  readonly epoch: (signal: AbortSignal) => Promise<number | undefined>;
  /** The size of the newest snapshot, bytes; undefined if it is not known. */
  readonly snapshotBytes: () => number | undefined;
}

/** Has the log of the store's own writes saved, by a process of its own, and says when a snapshot is due for it. */
export interface Following {
  /** Resolves when the process is there to which a backup hands the log over, or when it does not come. */
  there(): Promise<void>;
  /** Saves the rest, and resolves to whether all that was written is in the remote. `untilMs`: of the monotonic clock. */
  stop(untilMs: number): Promise<boolean>;
}

/** How long a backup waits for a process that starts. Without it, its snapshot has no log, and needs another one behind it. */
const startMs = 15_000;
const lookMs = 20;
/** After a failure: 1 s, 2 s … at most. */
const mostPauseMs = 60_000;
/** A longer log takes a restore longer than a newer snapshot would. */
const mostSegments = 5000;
const leastBytes = 16 * 1024 * 1024;

export function follow(options: FollowingOptions): Following {
  const { home, intervalMs, operationsFor, clock, emit } = options;
  const stopping = new AbortController();
  let isDue = false;
  let isSaved = false;
  let isRunning = true;
  let log = { bytes: 0, segments: 0 };

  const become = (due: boolean): void => {
    isDue = due;
    options.onSnapshotDue(due);
  };
  const onEvent = (event: AgentEvent): void => {
    emit(event);
    if (event.type === 'log-broken') become(true);
    if (event.type === 'log-following') {
      log = { bytes: 0, segments: 0 };
      become(false);
    }
    if (event.type === 'log-shipped') {
      log = { bytes: log.bytes + event.bytes, segments: log.segments + 1 };
      const half = (options.snapshotBytes() ?? 0) / 2;
      const isLong = log.bytes > Math.max(half, leastBytes) || log.segments > mostSegments;
      if (isLong && !isDue) become(true);
    }
  };
  const run = async (): Promise<void> => {
    const operations = operationsFor({ emit: onEvent });
    const epoch = await options.epoch(stopping.signal);
    ({ isSaved } = await operations.followLog({ intervalMs, epoch, signal: stopping.signal }));
  };
  const keep = async (): Promise<void> => {
    for (let pauseMs = 1000; !stopping.signal.aborted; pauseMs = Math.min(pauseMs * 2, mostPauseMs)) {
      const beganMs = clock.monotonic();
      isRunning = true;
      try {
        await run();
      } catch (error) {
        if (stopping.signal.aborted) return;
        const code = isSyncAgentError(error) ? error.code : 'INTERNAL';
        emit({
          type: 'log-trouble',
          code,
          message: messageOf(error),
          sinceMs: null,
          requests: noRequests,
        });
        if (code === 'UNSUPPORTED') return;
      } finally {
        isRunning = false;
      }
      if (clock.monotonic() - beganMs > mostPauseMs) pauseMs = 1000;
      await clock.sleep(pauseMs, { signal: stopping.signal }).catch(() => undefined);
    }
  };
  const kept = keep();

  return {
    there: async () => {
      const { signal } = stopping;
      const untilMs = clock.monotonic() + startMs;
      const isAwaited = (): boolean => isRunning && !signal.aborted && clock.monotonic() < untilMs;
      while (isAwaited() && !(await isLogFollowed(home)))
        await clock.sleep(lookMs, { signal }).catch(() => undefined);
    },
    stop: async (untilMs) => {
      stopping.abort(
        new SyncAgentError(
          'INTERRUPTED',
          'Cannot finish: the agent is stopping',
          Number.isFinite(untilMs) ? { untilMs } : {},
        ),
      );
      await kept;
      return isSaved;
    },
  };
}
