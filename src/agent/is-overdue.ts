import type { DaemonStatus } from './daemon-status.ts';

/** Telling a late backup from one that is about to be made: what a large store may take. */
const overdueSlackMs = 5 * 60_000;

/** Only by an interval can a backup be late. */
export function isOverdue(
  { dirtySinceMs, intervalMs, failures }: Pick<DaemonStatus, 'dirtySinceMs' | 'intervalMs' | 'failures'>,
  nowMs: number,
): boolean {
  if (dirtySinceMs === null || intervalMs === 0) return false;
  const slackMs = failures > 0 ? 0 : overdueSlackMs;
  return nowMs - dirtySinceMs > intervalMs + slackMs;
}
