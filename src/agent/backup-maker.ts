import type { Clock } from '../platform/clock.ts';
import type { BackupOptions, BackupResult } from '../engine/backup/backup.ts';
import type { BackupReason, SnapshotFacts } from '../platform/events.ts';
import { epochMsOf } from '../log/layout.ts';
import type { Perform, Performance } from './performer.ts';
import type { TurnOptions, TurnOutcome } from './schedule/scheduler.ts';
import type { StatusRecorder } from './status-recorder.ts';
import { untilBegun } from './until-begun.ts';

export interface BackupMakerOptions {
  readonly perform: Perform;
  readonly recorder: Pick<StatusRecorder, 'recordHistory' | 'recordSnapshot'>;
  readonly clock: Clock;
  /** Aborts when the agent stops: a backup that has not begun then is left to the final one. */
  readonly stopping: AbortSignal;
  readonly intervalMs: number;
  /** Of the lease that this host has, or had. */
  readonly epoch: () => number | undefined;
}

/** Makes the daemon's backups, and records what they say of the store and the remote. */
export interface BackupMaker {
  readonly make: (
    options: BackupOptions & { readonly signal?: AbortSignal | undefined },
    how: Pick<Performance<unknown>, 'reason' | 'retryAtMs'>,
  ) => Promise<BackupResult>;
  /** The schedule's way. `deadlineMs`, monotonic: by then it must be over; a hook before it has half of the time. */
  readonly turn: (
    reason: BackupReason,
    options: TurnOptions,
    limit?: { readonly deadlineMs: number },
  ) => Promise<TurnOutcome>;
}

export function backupMaker({
  perform,
  recorder,
  clock,
  stopping,
  intervalMs,
  epoch,
}: BackupMakerOptions): BackupMaker {
  const make: BackupMaker['make'] = async ({ signal: asked, ...options }, how) => {
    const { signal, begun, release } = untilBegun(stopping, { clock, asked });
    try {
      const { result, history } = await perform({
        ...how,
        operation: 'backup',
        work: (operations) => operations.backupTurn({ ...withEpoch(epoch()), ...options, signal }),
        describe: (turn) => ({ outcome: turn.result.type, snapshot: factsOf(turn.result) }),
        onBegun: begun,
      });
      if (history !== undefined) recorder.recordHistory(history);
      if (result.type !== 'planned') recorder.recordSnapshot(result.id);
      return result;
    } finally {
      release();
    }
  };
  return {
    make,
    turn: async (reason, { signal, retryAtMs }, { deadlineMs } = { deadlineMs: Infinity }) => {
      const isByInterval = reason === 'change' || reason === 'retry';
      const local = { minIntervalMs: isByInterval ? intervalMs : 0 };
      const beforeHookMs = Math.max(0, deadlineMs - clock.monotonic()) / 2;
      const limit = Number.isFinite(beforeHookMs) ? { beforeHookMs } : {};
      return outcomeOf(await make({ local, signal, ...limit }, { reason, retryAtMs }));
    },
  };
}

function withEpoch(epoch: number | undefined): { readonly epoch?: number } {
  return epoch === undefined ? {} : { epoch };
}

/** What a backup that ended means for the schedule. */
export function outcomeOf(result: BackupResult): TurnOutcome {
  if (result.type === 'planned') return { type: 'tried' };
  const snapshotAtMs = epochMsOf(result.id);
  return result.type === 'too-soon' ? { type: 'too-soon', snapshotAtMs } : { type: 'saved', snapshotAtMs };
}

/** The snapshot that the store equals after a backup, a restore or a sync. */
export function equalTo(result: { readonly type: string; readonly id?: string }): string | undefined {
  return ['committed', 'unchanged', 'restored', 'equal'].includes(result.type) ? result.id : undefined;
}

/** What a backup made, for events. */
export function factsOf(result: { readonly type: string }): SnapshotFacts | undefined {
  if (!isCommitted(result)) return undefined;
  const { id, bytes, records, uploadBytes, heldMs, longestHoldMs } = result;
  return { id, bytes, records, uploadBytes, heldMs, longestHoldMs };
}

function isCommitted(result: {
  readonly type: string;
}): result is Extract<BackupResult, { type: 'committed' }> {
  return result.type === 'committed';
}
