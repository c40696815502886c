import { SyncAgentError, isSyncAgentError } from '../../platform/errors.ts';
import { readLog } from '../../log/commit-log.ts';
import { probeCreateOnly } from '../../log/create-only.ts';
import { makeSnapshotId } from '../../log/layout.ts';
import { createLease, maxLeaseMs, readLeases, removeLeases } from '../../log/lease-log.ts';
import type { LeaseObject, LeaseView } from '../../log/lease-log.ts';
import { epochForCommit } from '../../log/precedence.ts';
import { readState } from '../../home/state.ts';
import type { Context } from '../context.ts';
import { planLease } from './plan-lease.ts';
import { waitForTurn } from './wait-for-lease.ts';

/** A lease that this host took. Plain data: processes may pass it on. */
export interface Lease {
  /** What backups pass on, so that their snapshots rank with the lease. */
  readonly epoch: number;
  readonly session: string;
  /** Of its newest object. */
  readonly number: number;
  readonly ttlMs: number;
  /** ISO 8601, by this host's clock. */
  readonly acquiredAt: string;
}

export interface AcquireOptions {
  /** How long the lease lasts when it is not renewed. Renew it each third of this. */
  readonly ttlMs: number;
  /** How long to wait for a host that has it, milliseconds; for each, where one takes it after another. Default 0. */
  readonly waitMs?: number;
  /** When that host still has it then: take it away, or reject with BUSY. Default `take-over`. */
  readonly onTimeout?: 'take-over' | 'fail';
}

export type RenewResult =
  | { readonly type: 'renewed'; readonly lease: Lease }
  | { readonly type: 'lost'; readonly to: string | undefined };

export type ReleaseResult =
  { readonly type: 'released' } | { readonly type: 'lost'; readonly to: string | undefined };

/** Objects kept for people to look at; swept when there are twice as many. */
const kept = 4;
/** So often a number may be taken under our hands. */
const maxTries = 10;

/**
 * Takes the lease: at once when nobody has it, else when its holder gives it back, lets it expire, or was waited for
 * long enough. UNSUPPORTED where the remote does not enforce create-only writes.
 *
 * The next number is created, and listed to be the highest: a host that slept in between may have created one that
 * others used and swept. A crash leaves a lease that expires by itself.
 */
export async function acquireLease(context: Context, options: AcquireOptions): Promise<Lease> {
  const { clock, remote, signal } = context;
  const { ttlMs, waitMs = 0 } = options;
  assertDuration(ttlMs);
  await assertCreateOnly(context);
  const session = clock.randomHex(16);
  for (let tries = 1; tries <= maxTries; tries += 1) {
    const { view, plan } = await waitForTurn(context, { waitMs, session, ttlMs });
    if (plan.type === 'held') refuseOrWarn(context, plan.lease, options);
    const epoch = plan.type === 'ours' ? plan.number : await nextEpoch(context, view);
    const lease: Lease = {
      epoch,
      session,
      number: epoch,
      ttlMs,
      acquiredAt: new Date(clock.now()).toISOString(),
    };
    const object = objectOf(context, lease, 'held');
    if (plan.type !== 'ours' && !(await createLease(remote, { number: epoch, lease: object }, { signal })))
      continue;
    const after = await readLeases(remote, { known: { number: epoch, lease: object }, signal });
    if (after.newest?.number === epoch) {
      await sweep(context, after);
      context.emit({ type: 'lease', state: 'acquired', epoch });
      return lease;
    }
    await removeQuietly(context, [epoch]);
  }
  throw neverSettled('take');
}

/**
 * Makes the lease last for its time again. `lost`: another host took it; what this one commits from now on is kept, and
 * does not count as the newest once that host has committed.
 */
export async function renewLease(context: Context, lease: Lease): Promise<RenewResult> {
  const next = await extend(context, lease, 'held');
  if (next.type === 'lost') return next;
  context.emit({ type: 'lease', state: 'renewed', epoch: lease.epoch });
  return { type: 'renewed', lease: { ...lease, number: next.number } };
}

/** Gives the lease back: who waits for it goes on at once. */
export async function releaseLease(context: Context, lease: Lease): Promise<ReleaseResult> {
  const next = await extend(context, lease, 'released');
  if (next.type === 'lost') return next;
  context.emit({ type: 'lease', state: 'released', epoch: lease.epoch });
  return { type: 'released' };
}

async function extend(
  context: Context,
  lease: Lease,
  state: LeaseObject['state'],
): Promise<{ type: 'created'; number: number } | { type: 'lost'; to: string | undefined }> {
  const { remote, signal } = context;
  const object = objectOf(context, lease, state);
  let number = lease.number + 1;
  for (let tries = 1; tries <= maxTries; tries += 1) {
    const isCreated = await createLease(remote, { number, lease: object }, { signal });
    const known = isCreated ? { number, lease: object } : undefined;
    const view = await readLeases(remote, { known, signal });
    if (isCreated && view.newest?.number === number) {
      if (state === 'held') await sweep(context, view);
      return { type: 'created', number };
    }
    const plan = planLease(view, lease);
    if (plan.type !== 'ours') {
      if (isCreated) await removeQuietly(context, [number]);
      const to = view.newest?.lease?.holder.host;
      context.emit({ type: 'lease', state: 'lost', epoch: lease.epoch, to });
      return { type: 'lost', to };
    }
    // A renewal whose answer was lost, or one by another process of this session.
    number = plan.number + 1;
  }
  throw neverSettled(state === 'held' ? 'renew' : 'release');
}

function objectOf({ settings, clock }: Context, lease: Lease, state: LeaseObject['state']): LeaseObject {
  return {
    format: 1,
    state,
    epoch: lease.epoch,
    ttlMs: lease.ttlMs,
    acquiredAt: lease.acquiredAt,
    holder: { host: settings.host, agent: settings.agent, session: lease.session },
    uploadId: clock.randomHex(16),
  };
}

/** Above every number there is; and where somebody deleted them all, above every epoch that was committed. */
async function nextEpoch(context: Context, view: LeaseView): Promise<number> {
  if (view.newest !== undefined) return view.newest.number + 1;
  const { snapshots } = await readLog(context, { signal: context.signal });
  const { epoch = 0 } = epochForCommit(
    snapshots.map(({ entry }) => entry),
    undefined,
  );
  return epoch + 1;
}

function refuseOrWarn(context: Context, lease: LeaseObject | undefined, options: AcquireOptions): void {
  const holder = lease === undefined ? 'another host' : `host "${lease.holder.host}"`;
  const waited = `${Math.round((options.waitMs ?? 0) / 1000)} s`;
  if (options.onTimeout === 'fail') {
    throw new SyncAgentError('BUSY', `Cannot take the lease: ${holder} still has it after ${waited}`, {
      remedy: 'Stop sync-agent there, or wait until its lease expires',
    });
  }
  context.emit({
    type: 'warning',
    code: 'BUSY',
    message: `Taking the lease over from ${holder}, which still has it after ${waited}`,
    remedy: 'What that host writes from now on is kept in snapshots of its own, beside the newest',
  });
}

/** Old numbers are of use to nobody. The highest is always kept, so that none is used twice. */
async function sweep(context: Context, { numbers }: LeaseView): Promise<void> {
  if (numbers.length > 2 * kept) await removeQuietly(context, numbers.slice(0, -kept));
}

/** Garbage that stays does no harm, and the next renewal tries again. */
async function removeQuietly({ remote, signal }: Context, numbers: readonly number[]): Promise<void> {
  try {
    await removeLeases(remote, numbers, { signal });
  } catch (error) {
    if (!isSyncAgentError(error) || error.code === 'INTERRUPTED') throw error;
  }
}

async function assertCreateOnly({ remote, remoteId, home, clock, settings, signal }: Context): Promise<void> {
  const support =
    (await readState(home))?.remotes[remoteId]?.createOnly ??
    (await probeCreateOnly(remote, makeSnapshotId(clock.now(), clock.randomHex(4)), {
      graceMs: settings.graceMs,
      signal,
    }));
  if (support === 'enforced') return;
  throw new SyncAgentError(
    'UNSUPPORTED',
    `Cannot take a lease in ${remote.location}: it does not enforce create-only writes, so two hosts could have it at once`,
    { remedy: 'Use a remote that enforces create-only writes (If-None-Match), or do without --lease' },
  );
}

function assertDuration(ttlMs: number): void {
  if (Number.isInteger(ttlMs) && ttlMs > 0 && ttlMs <= maxLeaseMs) return;
  throw new SyncAgentError(
    'USAGE',
    `Cannot take a lease for ${ttlMs} ms: expected a whole number from 1 to ${maxLeaseMs}`,
  );
}

function neverSettled(action: string): SyncAgentError {
  return new SyncAgentError('BUSY', `Cannot ${action} the lease: other hosts took each number first`, {
    remedy: 'Try again',
  });
}
