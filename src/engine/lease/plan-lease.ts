import type { LeaseObject, LeaseView } from '../../log/lease-log.ts';

export type LeasePlan =
  /** Whoever creates the next number has it. */
  | { readonly type: 'free'; readonly why: 'none' | 'released' | 'expired' }
  | { readonly type: 'ours'; readonly number: number }
  | {
      readonly type: 'held';
      /** Undefined when its object is damaged. */
      readonly lease: LeaseObject | undefined;
      readonly number: number;
      /** Until it expires by the server's clock, unless its holder renews it. */
      readonly remainingMs: number;
    };

/**
 * Who has the lease. A pure decision; ages are by the server's clock alone. A lease that cannot be read counts as held
 * for `ttlMs`: somebody wrote it, and its holder writes a readable one with the next renewal.
 */
export function planLease(
  { newest, serverTime }: Pick<LeaseView, 'newest' | 'serverTime'>,
  me: { readonly session: string | undefined; readonly ttlMs: number },
): LeasePlan {
  if (newest === undefined) return { type: 'free', why: 'none' };
  const { lease, number } = newest;
  if (lease?.state === 'released') return { type: 'free', why: 'released' };
  if (lease !== undefined && lease.holder.session === me.session) return { type: 'ours', number };
  const ageMs = serverTime.getTime() - newest.lastModified.getTime();
  const remainingMs = (lease?.ttlMs ?? me.ttlMs) - ageMs;
  return remainingMs < 0 ? { type: 'free', why: 'expired' } : { type: 'held', lease, number, remainingMs };
}
