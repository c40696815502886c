import { printable } from '../../report/format.ts';

/** `pinned`, or `pinned: before the migration`. */
export function pinText({ reason }: { readonly reason: string }): string {
  return reason === '' ? 'pinned' : `pinned: ${printable(reason)}`;
}
