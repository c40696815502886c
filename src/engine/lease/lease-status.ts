import { readLeases } from '../../log/lease-log.ts';
import type { Context } from '../context.ts';
import { planLease } from './plan-lease.ts';
import { defaultLeaseMs } from './wait-for-lease.ts';

export interface LeaseStatus {
  readonly epoch: number;
  /** Undefined where its object cannot be read. */
  readonly host: string | undefined;
  /** ISO 8601, by that host's clock. */
  readonly since: string | undefined;
  /** Until it ends by the server's clock unless it is renewed, milliseconds. */
  readonly expiresInMs: number;
}

/** Who has the lease; undefined when nobody has, or its holder died longer ago than it lasts. */
export async function leaseStatus({ remote, signal }: Context): Promise<LeaseStatus | undefined> {
  const plan = planLease(await readLeases(remote, { signal }), { session: undefined, ttlMs: defaultLeaseMs });
  if (plan.type !== 'held') return undefined;
  return {
    epoch: plan.lease?.epoch ?? plan.number,
    host: plan.lease?.holder.host,
    since: plan.lease?.acquiredAt,
    expiresInMs: plan.remainingMs,
  };
}
