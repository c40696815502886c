import { isLogWhole, unsavedSince } from '../agent/continuous/log-status.ts';
import { formatAge, formatDuration } from '../report/format.ts';
import type { DaemonStatus } from '../api/daemon-status.ts';
import type { Operation } from '../platform/events.ts';

/** A failed list or lease operation is no failure of its own: what it delays becomes overdue. */
const vitalOperations: readonly Operation[] = ['backup', 'restore', 'sync'];

/** Whether an operation that keeps the store safe has failed, and no backup has succeeded since. */
export function isFailing({
  lastError,
  lastSuccessAtMs,
}: Pick<DaemonStatus, 'lastError' | 'lastSuccessAtMs'>): boolean {
  if (lastError === null || !vitalOperations.includes(lastError.operation)) return false;
  return lastSuccessAtMs === null || lastError.atMs >= lastSuccessAtMs;
}

export interface Readiness {
  readonly isReady: boolean;
  /** Why the agent is not ready, in sentences. Empty if it is. */
  readonly reasons: readonly string[];
}

/** Ready means: the start is over, the store can be used, and changes are saved in time. */
export function readinessOf(status: DaemonStatus, nowMs: number): Readiness {
  const reasons = [...stateReasons(status), ...overdueReasons(status, nowMs), ...damageReasons(status)];
  return { isReady: reasons.length === 0, reasons };
}

function stateReasons({ state, running }: DaemonStatus): readonly string[] {
  switch (state) {
    case 'starting':
      return [running === null ? 'The agent is starting' : `The agent is starting: ${running.operation}`];
    case 'stopping':
      return ['The agent is stopping'];
    case 'stopped':
      return ['The agent has stopped'];
    case 'idle':
    case 'waiting':
    case 'working':
      return [];
    default:
      return state satisfies never;
  }
}

function damageReasons({ check }: DaemonStatus): readonly string[] {
  if (check === null) return [];
  const problems = check.server?.problems ?? [];
  return [
    ...(check.isSound ? [] : [`The store is damaged: ${check.damage.join('; ')}`]),
    ...(problems.length === 0 ? [] : [`The server of the store fails: ${problems.join('; ')}`]),
  ];
}

function overdueReasons(status: DaemonStatus, nowMs: number): readonly string[] {
  const { isOverdue, lastError, log } = status;
  if (!isOverdue) return [];
  const sinceMs = unsavedSince(status);
  const intervalMs = isLogWhole(log) && sinceMs !== null ? log.intervalMs : status.intervalMs;
  const since = sinceMs === null ? '' : ` for ${formatDuration(Math.max(0, nowMs - sinceMs))}`;
  const why = log?.broken?.why ?? log?.trouble?.message;
  const last =
    lastError === null
      ? ''
      : `; ${formatAge(nowMs - lastError.atMs)}: ${lastError.message} (${lastError.code})`;
  const text = `Changes are not saved${since}, and the interval is ${formatDuration(intervalMs)}`;
  return [`${text}${why === undefined ? '' : `; the log of writes: ${why}`}${last}`];
}
