import type { Operation } from '../platform/events.ts';
import type { DaemonStatus } from '../api/daemon-status.ts';

/** A look at the remote or a lease that fails costs nothing yet: what it delays becomes overdue. */
const vital: readonly Operation[] = ['backup', 'restore', 'sync'];

/** What keeps the store safe failed, and no backup has ended well since. */
export function isFailing({
  lastError,
  lastSuccessAtMs,
}: Pick<DaemonStatus, 'lastError' | 'lastSuccessAtMs'>): boolean {
  if (lastError === null || !vital.includes(lastError.operation)) return false;
  return lastSuccessAtMs === null || lastError.atMs >= lastSuccessAtMs;
}
