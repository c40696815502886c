import type { Clock } from '../platform/clock.ts';
import type { Lease } from '../engine/lease/lease.ts';
import { eitherSignal } from '../platform/abort-signals.ts';
import { isSyncAgentError } from '../platform/errors.ts';
import type { RunOperation } from './run-operation.ts';

export interface LeaseKeeperOptions {
  readonly ttlMs: number;
  readonly run: RunOperation;
  readonly clock: Clock;
  readonly onChange: (lease: HeldLease | null) => void;
}

export interface HeldLease {
  readonly epoch: number;
  /** Another host took it. This host's backups are kept, and rank below the other's. */
  readonly isLost: boolean;
}

export interface TakeOptions {
  readonly waitMs: number;
  readonly onTimeout: 'take-over' | 'fail';
  readonly signal?: AbortSignal | undefined;
}

/** Keeps this host's lease. */
export interface LeaseKeeper {
  /** The rank of this host's backups. It stays the same when the lease is lost; undefined before it is taken. */
  epoch(): number | undefined;
  /** The same, once the first attempt to take it has ended, well or not; at an abort, or after three seconds, as it is then. */
  epochOnceTried(signal: AbortSignal): Promise<number | undefined>;
  /** Takes it after the present holder. When `waitMs` is over it takes it over, or rejects with BUSY, as `onTimeout` says. */
  take(options: TakeOptions): Promise<void>;
  /** Renews it from now on. If `take` did not work, takes it as soon as it is free. */
  keep(signal: AbortSignal): Promise<void>;
  /** Gives it back. Never rejects: the lease expires anyway. */
  release(signal: AbortSignal): Promise<void>;
}

/** How long somebody waits for the first attempt, which takes longer where the remote is out of reach. */
const patienceMs = 3000;

/** How often it is renewed during its lifetime, so that one failure does no harm. */
const renewalsPerLife = 3;

export function createLeaseKeeper({ ttlMs, run, clock, onChange }: LeaseKeeperOptions): LeaseKeeper {
  let lease: Lease | undefined;
  let isLost = false;
  const tried = new AbortController();

  const acquire = async ({ waitMs, onTimeout, signal }: TakeOptions): Promise<void> => {
    try {
      ({ lease } = await run({
        operation: 'lease',
        reason: null,
        work: async (operations) => ({
          type: 'acquired',
          lease: await operations.acquireLease({ ttlMs, waitMs, onTimeout, signal }),
        }),
      }));
    } finally {
      tried.abort();
    }
    onChange({ epoch: lease.epoch, isLost: false });
  };
  const renew = async (held: Lease, signal: AbortSignal): Promise<void> => {
    const result = await run({
      operation: 'lease',
      reason: null,
      work: (operations) => operations.renewLease(held, { signal }),
    });
    if (result.type === 'renewed') lease = result.lease;
    else isLost = true;
    onChange({ epoch: held.epoch, isLost });
  };

  return {
    epoch: () => lease?.epoch,
    epochOnceTried: async (given) => {
      const { signal, release } = eitherSignal(tried.signal, given);
      await clock.sleep(patienceMs, { signal }).catch(() => undefined);
      release();
      return lease?.epoch;
    },
    take: acquire,
    keep: async (signal) => {
      const rest = (): Promise<void> =>
        clock.sleep(ttlMs / renewalsPerLife, { signal }).catch(() => undefined);
      if (lease !== undefined) await rest();
      while (!signal.aborted) {
        try {
          // A host that could not reach the remote before comes late, so it does not take the lease from another.
          if (lease === undefined) await acquire({ waitMs: 0, onTimeout: 'fail', signal });
          else await renew(lease, signal);
        } catch (error) {
          // The operation's event has told it. A remote without create-only writes has no leases.
          if (isSyncAgentError(error, 'UNSUPPORTED')) return;
        }
        if (isLost) return;
        await rest();
      }
    },
    release: async (signal) => {
      if (lease === undefined || isLost) return;
      const held = lease;
      await run({
        operation: 'lease',
        reason: null,
        work: (operations) => operations.releaseLease(held, { signal }),
      }).catch(() => undefined);
      lease = undefined;
      onChange(null);
    },
  };
}
