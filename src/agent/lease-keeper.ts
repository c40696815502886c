import type { Clock } from '../platform/clock.ts';
import type { Lease } from '../engine/lease/lease.ts';
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
  /** Another host took it: what this one backs up ranks below that host's snapshots, and is kept. */
  readonly isLost: boolean;
}

export interface TakeOptions {
  readonly waitMs: number;
  readonly onTimeout: 'take-over' | 'fail';
  readonly signal?: AbortSignal | undefined;
}

/** Keeps this host's lease. */
export interface LeaseKeeper {
  /** What backups of this host rank with. Stays what it was when the lease is lost; undefined before it is taken. */
  epoch(): number | undefined;
  /** Takes it, after whoever has it. When `waitMs` is over, from them, or rejects with BUSY. */
  take(options: TakeOptions): Promise<void>;
  /** Renews it from now on; takes it, as soon as it is free, where that did not work before. */
  keep(signal: AbortSignal): Promise<void>;
  /** Gives it back. Never rejects: it ends by itself. */
  release(signal: AbortSignal): Promise<void>;
}

/** Renewed this often in its time, so that one failure does no harm. */
const renewalsPerLife = 3;

export function createLeaseKeeper({ ttlMs, run, clock, onChange }: LeaseKeeperOptions): LeaseKeeper {
  let lease: Lease | undefined;
  let isLost = false;

  const acquire = async ({ waitMs, onTimeout, signal }: TakeOptions): Promise<void> => {
    ({ lease } = await run({
      operation: 'lease',
      reason: null,
      work: async (operations) => ({
        type: 'acquired',
        lease: await operations.acquireLease({ ttlMs, waitMs, onTimeout, signal }),
      }),
    }));
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
    take: acquire,
    keep: async (signal) => {
      const rest = (): Promise<void> =>
        clock.sleep(ttlMs / renewalsPerLife, { signal }).catch(() => undefined);
      if (lease !== undefined) await rest();
      while (!signal.aborted) {
        try {
          // A host that comes late, because it could not reach the remote, takes it from nobody.
          if (lease === undefined) await acquire({ waitMs: 0, onTimeout: 'fail', signal });
          else await renew(lease, signal);
        } catch (error) {
          // Told by the operation's event. Without create-only writes there is no lease to be had.
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
