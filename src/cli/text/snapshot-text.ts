import type { LogReach } from '../../engine/continuous/log-reach.ts';
import type { Pin } from '../../log/manifest.ts';
import { counted, formatBytes, formatUtc, printable } from '../../report/format.ts';

/** How a snapshot is named on the command line. */
export const snapshotNames = 'id, unique start of one, label, ~N (N before latest) or latest';

/** `pinned`, `pinned: before the migration`, or `pinned until 2026-11-28 08:00:00Z`. */
export function pinText({ reason, until }: Pick<Pin, 'reason' | 'until'>): string {
  const pinned = until === undefined ? 'pinned' : `pinned until ${formatUtc(Date.parse(until))}`;
  return reason === '' ? pinned : `${pinned}: ${printable(reason)}`;
}

/** Up to when writes after the snapshot are saved behind it, in short. */
export function reachText({ until, problem }: LogReach): string {
  if (problem !== undefined) return 'log damaged';
  return until === undefined ? 'log empty' : `log until ${until}`;
}

/** The same in full. */
export function reachLine({ segments, bytes, upTo, until, problem }: LogReach): string {
  const size = `${counted(segments, 'segment')}, ${formatBytes(bytes)}`;
  if (problem !== undefined) return `${size}: ${printable(problem)}`;
  return until === undefined
    ? 'nothing was saved behind it yet'
    : `writes until ${until}, operation ${upTo}, in ${size}`;
}
