import { printable } from '../../report/format.ts';

/** How a snapshot is named on the command line. */
export const snapshotNames = 'id, unique start of one, ~N (N before latest) or latest';

/** `pinned`, or `pinned: before the migration`. */
export function pinText({ reason }: { readonly reason: string }): string {
  return reason === '' ? 'pinned' : `pinned: ${printable(reason)}`;
}
