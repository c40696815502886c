import { SyncAgentError } from '../../platform/errors.ts';
import { readLeases } from '../../log/lease-log.ts';
import type { LeaseObject, LeaseView } from '../../log/lease-log.ts';
import type { Context } from '../context.ts';
import { planLease } from './plan-lease.ts';
import type { LeasePlan } from './plan-lease.ts';

/** How long a lease lasts where nothing else was asked for, and one that cannot be read. */
export const defaultLeaseMs = 60_000;

const pollMs = 1000;
/** A server's times may be whole seconds, so that little is left for long. */
const shortestPollMs = 100;

export interface WaitOptions {
  /** Milliseconds. */
  readonly waitMs: number;
  /** When the lease is still held then: go on, or reject with BUSY. Default `continue`. */
  readonly onTimeout?: 'continue' | 'fail';
}

export type WaitResult =
  /** Nobody has the lease, or not any more: its last holder's final backup is in the log. */
  | { readonly type: 'free'; readonly waitedMs: number }
  | { readonly type: 'timed-out'; readonly waitedMs: number; readonly host: string | undefined };

/** Waits, without taking it, until nobody has the lease: a dead holder's expires. Changes nothing. */
export async function waitForLease(context: Context, options: WaitOptions): Promise<WaitResult> {
  const startedAt = context.clock.monotonic();
  const { plan } = await waitForTurn(context, {
    waitMs: options.waitMs,
    session: undefined,
    ttlMs: defaultLeaseMs,
  });
  const waitedMs = context.clock.monotonic() - startedAt;
  if (plan.type !== 'held') return { type: 'free', waitedMs };
  const host = plan.lease?.holder.host;
  const message = `${nameOf(plan.lease)} still has the lease after ${Math.round(options.waitMs / 1000)} s`;
  if (options.onTimeout === 'fail') {
    throw new SyncAgentError('BUSY', `Cannot wait any longer: ${message}`, {
      remedy: 'Stop sync-agent there, or wait longer',
    });
  }
  context.emit({
    type: 'warning',
    code: 'BUSY',
    message: `Going on with the newest snapshot, although ${message}`,
    remedy: 'What that host has written since its last backup is not in it',
  });
  return { type: 'timed-out', waitedMs, host };
}

export interface Turn {
  readonly view: LeaseView;
  /** `held`: the time is up. */
  readonly plan: LeasePlan;
}

/** Looks each second whose lease it is, until it is nobody's or the time is up. One listing each. */
export async function waitForTurn(
  context: Context,
  {
    waitMs,
    ...me
  }: { readonly waitMs: number; readonly session: string | undefined; readonly ttlMs: number },
): Promise<Turn> {
  const { clock, remote, signal } = context;
  const deadline = clock.monotonic() + waitMs;
  let view: LeaseView | undefined;
  let told: number | undefined;
  for (;;) {
    view = await readLeases(remote, { known: view?.newest, signal });
    const plan = planLease(view, me);
    const leftMs = deadline - clock.monotonic();
    if (plan.type !== 'held' || leftMs <= 0) return { view, plan };
    const epoch = plan.lease?.epoch ?? plan.number;
    if (told !== epoch) {
      context.emit({
        type: 'lease',
        state: 'waiting',
        epoch,
        host: plan.lease?.holder.host,
        since: plan.lease?.acquiredAt,
        atMostMs: waitMs,
        expiresInMs: plan.remainingMs,
      });
      told = epoch;
    }
    const pauseMs = Math.min(pollMs, leftMs, plan.remainingMs + 1);
    await clock.sleep(Math.max(shortestPollMs, pauseMs), { signal });
  }
}

function nameOf(lease: LeaseObject | undefined): string {
  return lease === undefined ? 'another host' : `host "${lease.holder.host}"`;
}
