import type { Clock } from '../platform/clock.ts';
import type { SnapshotSummary } from '../engine/history/history.ts';
import type { AgentEvent, DaemonEvent } from '../platform/events.ts';
import { createListeners } from '../platform/listeners.ts';
import { epochMsOf } from '../log/layout.ts';
import type { CopyStatus, DaemonStatus, RecordedEvent } from '../api/daemon-status.ts';
import { isLogOverdue, logAfter, noLogYet } from './continuous/log-status.ts';
import { isOverdue } from './schedule/schedule.ts';
import type { PlannedBackup, ScheduleState } from './schedule/schedule.ts';

export type DaemonIdentity = Pick<
  DaemonStatus,
  'version' | 'pid' | 'host' | 'store' | 'remote' | 'intervalMs' | 'cron'
>;

/** Keeps the `DaemonStatus`, from the events and the schedule. */
export interface StatusRecorder {
  record(event: AgentEvent | DaemonEvent): void;
  recordSchedule(state: ScheduleState, next: PlannedBackup | null): void;
  /** The store equals, or grew from, this snapshot. */
  recordSnapshot(id: string): void;
  recordLease(lease: DaemonStatus['lease']): void;
  recordHistory(snapshots: readonly SnapshotSummary[]): void;
  status(): DaemonStatus;
  /** Calls the listener for each event after it is recorded. Returns the function that ends this. */
  subscribe(listener: (recorded: RecordedEvent) => void): () => void;
}

const recentEvents = 200;

export function createStatusRecorder(
  identity: DaemonIdentity,
  { clock, continuousMs = null }: { readonly clock: Clock; readonly continuousMs?: number | null },
): StatusRecorder {
  let status: DaemonStatus = {
    ...identity,
    startedAtMs: clock.now(),
    state: 'starting',
    detection: 'events',
    dirtySinceMs: null,
    nextBackupAtMs: null,
    nextBackupReason: null,
    running: null,
    lease: null,
    lastSnapshot: null,
    lastSuccessAtMs: null,
    lastBackupPhases: [],
    lastError: null,
    failures: 0,
    check: null,
    copy: null,
    log: continuousMs === null ? null : noLogYet(continuousMs),
    isOverdue: false,
    history: null,
    tips: [],
    recentEvents: [],
  };
  const recent: RecordedEvent[] = [];
  const listeners = createListeners<RecordedEvent>();

  const settle = (): DaemonStatus['state'] => {
    if (status.state === 'starting' || status.state === 'stopping' || status.state === 'stopped')
      return status.state;
    if (status.running !== null) return 'working';
    return status.dirtySinceMs === null ? 'idle' : 'waiting';
  };

  return {
    record: (event) => {
      const recorded = { atMs: clock.now(), event };
      status = reduce(status, recorded);
      status = { ...status, state: settle() };
      if (isWorthKeeping(event)) {
        recent.push(recorded);
        if (recent.length > recentEvents) recent.shift();
      }
      listeners.tell(recorded);
    },
    recordSchedule: (state, next) => {
      status = {
        ...status,
        dirtySinceMs: state.dirtySinceMs,
        failures: state.failures,
        nextBackupAtMs: next?.atMs ?? null,
        nextBackupReason: next?.reason ?? null,
      };
      status = { ...status, state: settle() };
    },
    recordSnapshot: (id) => {
      status = { ...status, lastSnapshot: { id, createdAtMs: epochMsOf(id) } };
    },
    recordLease: (lease) => {
      status = { ...status, lease };
    },
    recordHistory: (snapshots) => {
      status = {
        ...status,
        history: { asOfMs: clock.now(), snapshots },
        tips: snapshots.filter((each) => each.isTip).map((each) => each.id),
      };
    },
    status: () => ({
      ...status,
      isOverdue: isOverdue(status, clock.now()) || isLogOverdue(status, clock.now()),
      recentEvents: [...recent],
    }),
    subscribe: (listener) => listeners.add(listener),
  };
}

const steps: ReadonlySet<string> = new Set(['progress', 'phase', 'log-pending', 'log-shipped']);

/** Steps of an operation, and checks that found nothing new, would push out all else. */
function isWorthKeeping(event: AgentEvent | DaemonEvent): boolean {
  if (event.type === 'checked') return !event.isUnchanged || (event.server?.problems.length ?? 0) > 0;
  if (event.type === 'copied') return event.snapshots.length > 0;
  return !steps.has(event.type);
}

const noCopy: CopyStatus = {
  to: null,
  lastSuccessAtMs: null,
  snapshot: null,
  failures: 0,
  lastError: null,
};

function reduce(status: DaemonStatus, { atMs, event }: RecordedEvent): DaemonStatus {
  switch (event.type) {
    case 'started':
      return { ...status, state: 'idle' };
    case 'watching':
      return { ...status, detection: event.by };
    case 'operation-started': {
      const { operation, reason } = event;
      // They are of no interest while they work; lease operations and drills run beside others.
      if (operation === 'lease' || operation === 'check' || operation === 'drill' || operation === 'copy')
        return status;
      return {
        ...status,
        running: { operation, reason, startedAtMs: atMs, phase: null, done: 0, total: 0 },
      };
    }
    case 'phase':
      return status.running === null
        ? status
        : { ...status, running: { ...status.running, phase: event.phase, done: 0, total: 0 } };
    case 'progress':
      return status.running === null
        ? status
        : { ...status, running: { ...status.running, done: event.done, total: event.total } };
    case 'phases':
      return status.running?.operation === 'backup' ? { ...status, lastBackupPhases: event.phases } : status;
    case 'operation-finished': {
      const isBackup = event.operation === 'backup' && event.outcome !== 'too-soon';
      return {
        ...status,
        running: status.running?.operation === event.operation ? null : status.running,
        lastError: status.lastError?.operation === event.operation ? null : status.lastError,
        lastSuccessAtMs: isBackup ? atMs : status.lastSuccessAtMs,
      };
    }
    case 'operation-failed':
      // It is no failure of a backup, and the next backup does not end it.
      if (event.operation === 'copy') {
        const copy = status.copy ?? noCopy;
        const lastError = { ...event.error, atMs };
        return { ...status, copy: { ...copy, failures: copy.failures + 1, lastError } };
      }
      return {
        ...status,
        running: status.running?.operation === event.operation ? null : status.running,
        lastError: { ...event.error, atMs, operation: event.operation },
        // The success came before the failure, even if the clock was set back in between.
        lastSuccessAtMs: status.lastSuccessAtMs === null ? null : Math.min(status.lastSuccessAtMs, atMs),
      };
    case 'checked': {
      const { type: _type, isUnchanged: _isUnchanged, ...found } = event;
      return { ...status, check: { ...found, atMs } };
    }
    case 'diverged':
      return { ...status, tips: event.tips };
    case 'stopping':
      return { ...status, state: 'stopping' };
    case 'stopped':
      return { ...status, state: 'stopped' };
    case 'copied': {
      const { to, newest: snapshot } = event;
      return { ...status, copy: { to, snapshot, lastSuccessAtMs: atMs, failures: 0, lastError: null } };
    }
    case 'drilled':
    case 'warning':
    case 'captured':
    case 'committed':
    case 'rotated':
    case 'restored':
    case 'retry':
    case 'changed':
    case 'scheduled':
    case 'listening':
    case 'command-started':
    case 'command-exited':
    case 'recovery':
    case 'hook':
    case 'hook-output':
    case 'lease':
      return status;
    case 'log-following':
    case 'log-pending':
    case 'log-shipped':
    case 'log-broken':
    case 'log-trouble':
      return { ...status, log: status.log && logAfter(status.log, { atMs, event }) };
    default:
      return event satisfies never;
  }
}
