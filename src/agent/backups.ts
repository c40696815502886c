import type { BackupOptions, BackupResult } from '../engine/backup/backup.ts';
import type { SnapshotSummary } from '../engine/history/history.ts';
import { eitherSignal, raceAbort } from '../platform/abort-signals.ts';
import type { Clock } from '../platform/clock.ts';
import { SyncAgentError } from '../platform/errors.ts';
import type { BackupReason } from '../platform/events.ts';
import type { RunOperation } from './run-operation.ts';
import type { BackUp, BackupAttempt } from './schedule/scheduler.ts';

export interface BackupsOptions {
  readonly run: RunOperation;
  readonly onHistory: (snapshots: readonly SnapshotSummary[]) => void;
  readonly clock: Clock;
  /** Aborts when the agent stops: a backup that has not begun by then is left to the final one. */
  readonly stopping: AbortSignal;
  readonly intervalMs: number;
  /** The epoch of the lease that this host has, or had. */
  readonly epoch: () => number | undefined;
  /** Resolves when a backup may hand over the log of the store's writes. */
  readonly logThere: () => Promise<void>;
  /** Whether the log of the store's writes needs a snapshot to go on from. */
  readonly isLogDue: () => boolean;
}

/** The daemon's backups, for the scheduler to run. */
export interface Backups {
  readonly scheduled: BackUp;
  /** The last one. It must be over at `deadlineMs`, monotonic; a hook before it gets half of the time. */
  final(deadlineMs: number): BackUp;
  /** One that somebody asked for. */
  demanded(options: BackupOptions): BackUp;
}

/** How long a hook has to end, together with the after-hook that hears of it. */
const endingMs = 1000;

export function createBackups({
  run,
  onHistory,
  clock,
  stopping,
  intervalMs,
  epoch,
  logThere,
  isLogDue,
}: BackupsOptions): Backups {
  const backUp = async (
    reason: BackupReason,
    { signal: asked, retryAtMs }: BackupAttempt,
    options: BackupOptions,
  ): Promise<BackupResult> => {
    const { signal, begun, release } = untilBegun(asked);
    try {
      return await run({
        operation: 'backup',
        reason,
        work: async (operations) => {
          await raceAbort(logThere(), signal);
          const ranked = { ...withEpoch(epoch()), ...options, signal };
          const { result, history } = await operations.backUpAndList(ranked);
          if (history !== undefined) onHistory(history);
          return result;
        },
        retryAtMs,
        onPhase: begun,
      });
    } finally {
      release();
    }
  };

  /**
   * A signal that aborts with `asked` and, until `begun` is called, when the agent stops. Before its first phase a backup only runs a
   * hook or waits for others, so it gives way to the final backup. A backup that starts after the stop obeys only
   * `asked`.
   */
  const untilBegun = (asked: AbortSignal) => {
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
  };

  return {
    scheduled: (reason, attempt) => {
      const isDue = isLogDue();
      const isByInterval = !isDue && (reason === 'change' || reason === 'retry');
      return backUp(reason, attempt, {
        local: { minIntervalMs: isByInterval ? intervalMs : 0 },
        ...(isDue ? { evenUnchanged: true } : {}),
      });
    },
    final: (deadlineMs) => (reason, attempt) => {
      const beforeHookMs = Math.max(0, deadlineMs - clock.monotonic()) / 2;
      const limit = Number.isFinite(beforeHookMs) ? { beforeHookMs } : {};
      return backUp(reason, attempt, { local: { minIntervalMs: 0 }, ...limit });
    },
    demanded: (options) => (reason, attempt) => backUp(reason, attempt, options),
  };
}

function withEpoch(epoch: number | undefined): { readonly epoch?: number } {
  return epoch === undefined ? {} : { epoch };
}
