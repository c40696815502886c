import type { Pin } from '../../log/manifest.ts';
import { formatUtc, printable } from '../../report/format.ts';

/** How a snapshot is named on the command line. */
export const snapshotNames = 'id, unique start of one, label, ~N (N before latest) or latest';

/** `pinned`, `pinned: before the migration`, or `pinned until 2026-11-28 08:00:00Z`. */
export function pinText({ reason, until }: Pick<Pin, 'reason' | 'until'>): string {
  const pinned = until === undefined ? 'pinned' : `pinned until ${formatUtc(Date.parse(until))}`;
  return reason === '' ? pinned : `${pinned}: ${printable(reason)}`;
}
