import type { BackupReason } from '../../platform/events.ts';

/** When to back up. All times are milliseconds since the epoch, so that they mean the same after a restart. */
export interface ScheduleSettings {
  /** Minimum time between snapshots, and the longest that a write waits for one; 0: only at fixed times. */
  readonly intervalMs: number;
  /** How long the store should be quiet after a change, unless that delays the backup much. */
  readonly settleMs: number;
  /** The first fixed time after an instant. */
  readonly nextFixedTime?: ((afterMs: number) => number | null) | undefined;
}

/**
 *     clean ──change──▶ dirty ──its time──▶ working ──committed──▶ clean, or dirty by what was written meanwhile
 *                         ▲                    │
 *                         └──── retry time ◀── failed
 */
export interface ScheduleState {
  /** Since when the store holds something that no snapshot has; null if all is saved. */
  readonly dirtySinceMs: number | null;
  readonly lastChangeAtMs: number | null;
  /** When the store's newest snapshot was taken, by any host. */
  readonly lastSnapshotAtMs: number | null;
  /** Since when the log of the store's own writes needs a snapshot to go on from; null if it goes on. */
  readonly logDueSinceMs: number | null;
  /** Fixed times up to here have passed. */
  readonly fixedUntilMs: number;
  /** In a row. */
  readonly failures: number;
  readonly retryAtMs: number | null;
  /** The first change since the running backup began; it has what was written before. */
  readonly working: { readonly sinceMs: number; readonly changedAtMs: number | null } | null;
}

export interface PlannedBackup {
  readonly atMs: number;
  readonly reason: BackupReason;
}

/** Decides when the next backup begins, and why. While nothing has changed, none is due. A pure decision. */
export function nextBackup(state: ScheduleState, settings: ScheduleSettings): PlannedBackup | null {
  const { dirtySinceMs, working, retryAtMs, logDueSinceMs, lastSnapshotAtMs } = state;
  if (working !== null || (dirtySinceMs === null && logDueSinceMs === null)) return null;
  if (retryAtMs !== null) return { atMs: retryAtMs, reason: 'retry' };
  // The pause is for a log that would need one snapshot after another.
  if (logDueSinceMs !== null) {
    const restedMs = lastSnapshotAtMs === null ? logDueSinceMs : lastSnapshotAtMs + logPauseMs;
    return { atMs: Math.max(logDueSinceMs, restedMs), reason: 'log' };
  }
  if (dirtySinceMs === null) return null;
  const byInterval = dueByInterval(state, settings);
  // A fixed time that passed while there was nothing to save does not count; one that was missed while the agent was off does.
  const fixed = settings.nextFixedTime?.(Math.max(state.fixedUntilMs, dirtySinceMs)) ?? null;
  if (fixed !== null && (byInterval === null || fixed < byInterval))
    return { atMs: fixed, reason: 'fixed-time' };
  return byInterval === null ? null : { atMs: byInterval, reason: 'change' };
}

/** The first change after a quiet time is saved as soon as the store rests; one soon after a snapshot, an interval after that snapshot. */
function dueByInterval(state: ScheduleState, { intervalMs, settleMs }: ScheduleSettings): number | null {
  const { dirtySinceMs, lastChangeAtMs, lastSnapshotAtMs } = state;
  if (intervalMs === 0 || dirtySinceMs === null) return null;
  const patience = Math.min(5 * settleMs, intervalMs);
  const rested = Math.min((lastChangeAtMs ?? dirtySinceMs) + settleMs, dirtySinceMs + patience);
  return lastSnapshotAtMs === null ? rested : Math.max(rested, lastSnapshotAtMs + intervalMs);
}

export function changed(state: ScheduleState, atMs: number): ScheduleState {
  const { working } = state;
  return {
    ...state,
    dirtySinceMs: state.dirtySinceMs ?? atMs,
    lastChangeAtMs: Math.max(atMs, state.lastChangeAtMs ?? atMs),
    working: working === null ? null : { ...working, changedAtMs: working.changedAtMs ?? atMs },
  };
}

export function started(state: ScheduleState, atMs: number): ScheduleState {
  return { ...state, fixedUntilMs: atMs, working: { sinceMs: atMs, changedAtMs: null } };
}

/** A backup succeeded. `snapshotAtMs`: the time of the snapshot that the store now equals, or grew from. */
export function succeeded(state: ScheduleState, snapshotAtMs: number | null): ScheduleState {
  return {
    ...state,
    dirtySinceMs: state.working?.changedAtMs ?? null,
    lastSnapshotAtMs: snapshotAtMs,
    failures: 0,
    retryAtMs: null,
    working: null,
  };
}

/** The backup came too soon after a snapshot that somebody else asked for: what was dirty still is. */
export function postponed(state: ScheduleState, snapshotAtMs: number): ScheduleState {
  return { ...state, lastSnapshotAtMs: snapshotAtMs, failures: 0, retryAtMs: null, working: null };
}

export function failed(state: ScheduleState, retryAtMs: number): ScheduleState {
  return { ...state, failures: state.failures + 1, retryAtMs, working: null };
}

/** The backup does not count for the schedule: a dry run, or a demanded one that failed. */
export function abandoned(state: ScheduleState): ScheduleState {
  return { ...state, working: null };
}

/** Whether a write is not saved in time, with some time for the backup of a large store. Without an interval no backup is late. */
export function isOverdue(
  {
    dirtySinceMs,
    intervalMs,
    failures,
  }: Pick<ScheduleState, 'dirtySinceMs' | 'failures'> & Pick<ScheduleSettings, 'intervalMs'>,
  nowMs: number,
): boolean {
  if (dirtySinceMs === null || intervalMs === 0) return false;
  return nowMs - dirtySinceMs > intervalMs + (failures > 0 ? 0 : overdueSlackMs);
}

/** After 5 s, 10 s, 20 s …, 5 min at most, an interval at most; `random` in [0, 1) spreads hosts. */
export function retryTime(
  { failures }: ScheduleState,
  { intervalMs }: ScheduleSettings,
  nowMs: number,
  random: number,
): number {
  const most = Math.max(1000, Math.min(mostRetryMs, intervalMs === 0 ? mostRetryMs : intervalMs));
  const delay = Math.min(firstRetryMs * 2 ** Math.min(failures, 20), most);
  return nowMs + Math.round(delay * (0.75 + random / 4));
}

/** Times in the future come from a clock that was ahead. They count as now; else nothing would be due for long. */
export function withClockSetBack(state: ScheduleState, nowMs: number): ScheduleState {
  const past = (atMs: number | null): number | null => (atMs === null ? null : Math.min(atMs, nowMs));
  return {
    ...state,
    dirtySinceMs: past(state.dirtySinceMs),
    lastChangeAtMs: past(state.lastChangeAtMs),
    logDueSinceMs: past(state.logDueSinceMs),
    lastSnapshotAtMs: past(state.lastSnapshotAtMs),
    fixedUntilMs: Math.min(state.fixedUntilMs, nowMs),
    retryAtMs: state.retryAtMs === null ? null : Math.min(state.retryAtMs, nowMs + mostRetryMs),
  };
}

const logPauseMs = 1000;
const firstRetryMs = 5000;
const mostRetryMs = 5 * 60_000;
const overdueSlackMs = 5 * 60_000;
