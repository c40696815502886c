import type { DaemonStatus, LogStatus, RecordedEvent } from '../../api/daemon-status.ts';
import { noRequests } from '../../platform/events.ts';
import { addCounts } from '../../platform/counts/request-counts.ts';

export const noLogYet = (intervalMs: number): LogStatus => ({
  intervalMs,
  snapshot: null,
  upTo: null,
  segments: 0,
  operations: 0,
  bytes: 0,
  lastShippedAtMs: null,
  lagMs: null,
  unsavedSinceMs: null,
  broken: null,
  trouble: null,
  gaps: 0,
  requests: noRequests,
});

/** The log after an event. Segments, operations and bytes count from when the log of a snapshot began. */
export function logAfter(log: LogStatus, { atMs, event }: RecordedEvent): LogStatus {
  switch (event.type) {
    case 'log-following': {
      const { snapshot, upTo, requests } = event;
      const isSame = snapshot === log.snapshot;
      return {
        ...log,
        ...(isSame ? {} : { segments: 0, operations: 0, bytes: 0 }),
        snapshot,
        upTo,
        unsavedSinceMs: null,
        broken: null,
        trouble: null,
        requests: addCounts(log.requests, requests),
      };
    }
    case 'log-pending':
      return { ...log, unsavedSinceMs: log.unsavedSinceMs ?? event.sinceMs };
    case 'log-shipped':
      return {
        ...log,
        upTo: event.upTo,
        segments: log.segments + 1,
        operations: log.operations + event.operations,
        bytes: log.bytes + event.bytes,
        lastShippedAtMs: atMs,
        lagMs: event.lagMs,
        unsavedSinceMs: event.unsavedSinceMs,
        trouble: null,
        requests: addCounts(log.requests, event.requests),
      };
    case 'log-broken':
      return {
        ...log,
        unsavedSinceMs: log.unsavedSinceMs ?? atMs,
        broken: { why: event.why, sinceMs: atMs },
        gaps: log.gaps + (event.isGap ? 1 : 0),
      };
    case 'log-trouble':
      return {
        ...log,
        unsavedSinceMs: log.unsavedSinceMs ?? event.sinceMs ?? atMs,
        trouble: { code: event.code, message: event.message, atMs, sinceMs: log.trouble?.sinceMs ?? atMs },
        requests: addCounts(log.requests, event.requests),
      };
    default:
      return log;
  }
}

/**
 * Since when something is neither in a snapshot nor in the log behind one, milliseconds since the epoch; null if all is saved. An older
 * agent says nothing of a log.
 */
export function unsavedSince({
  dirtySinceMs,
  log,
}: Pick<DaemonStatus, 'dirtySinceMs'> & { readonly log?: LogStatus | null }): number | null {
  if (log == null || log.snapshot === null || dirtySinceMs === null) return dirtySinceMs;
  return log.unsavedSinceMs;
}

/** Writes go behind a snapshot, one by one. */
export const isLogWhole = (log: LogStatus | null | undefined): log is LogStatus =>
  log != null && log.snapshot !== null && log.broken === null;

/** With a log, writes are saved within seconds. What is not after this time needs a person. */
const overdueMs = 5 * 60_000;

/** Whether the log should have saved something long ago, or should have gone on from a new snapshot long ago. */
export function isLogOverdue(
  status: Pick<DaemonStatus, 'dirtySinceMs'> & { readonly log?: LogStatus | null },
  nowMs: number,
): boolean {
  const { log } = status;
  if (log == null || status.dirtySinceMs === null) return false;
  const troubleSinceMs = log.trouble?.sinceMs ?? null;
  const sinceMs = log.broken?.sinceMs ?? (log.snapshot === null ? troubleSinceMs : unsavedSince(status));
  return sinceMs !== null && nowMs - sinceMs > Math.max(overdueMs, 2 * log.intervalMs);
}
