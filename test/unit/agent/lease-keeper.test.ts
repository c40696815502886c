import { beforeEach, describe, expect, it } from 'vitest';
import type { Operations } from '../../../src/api/operations.ts';
import { createLeaseKeeper } from '../../../src/agent/lease-keeper.ts';
import type { HeldLease, LeaseKeeper } from '../../../src/agent/lease-keeper.ts';
import type { AcquireOptions, Lease, RenewResult } from '../../../src/engine/lease/lease.ts';
import { SyncAgentError } from '../../../src/platform/errors.ts';
import { virtualClock } from '../../support/virtual-clock.ts';
import type { VirtualClock } from '../../support/virtual-clock.ts';

const ttlMs = 30_000;
const first: Lease = { epoch: 7, session: 'ab', number: 7, ttlMs, acquiredAt: '2026-11-21T12:00:00.000Z' };

let clock: VirtualClock;
let calls: { readonly call: string; readonly atMs: number }[];
let acquired: Partial<AcquireOptions>[];
let changes: (HeldLease | null)[];
let acquire: () => Lease;
let renew: (lease: Lease) => RenewResult;
let keeper: LeaseKeeper;
let ending: AbortController;

beforeEach(() => {
  clock = virtualClock();
  [calls, acquired, changes] = [[], [], []];
  acquire = () => first;
  renew = (lease) => ({ type: 'renewed', lease: { ...lease, number: lease.number + 1 } });
  ending = new AbortController();
  const note = (call: string): void => void calls.push({ call, atMs: clock.monotonic() });
  const operations = {
    acquireLease: async (options: Partial<AcquireOptions>) => {
      note('acquire');
      acquired.push(options);
      return acquire();
    },
    renewLease: async (lease: Lease) => {
      note(`renew ${lease.number}`);
      return renew(lease);
    },
    releaseLease: async () => {
      note('release');
      return { type: 'released' } as const;
    },
  } as unknown as Operations;
  keeper = createLeaseKeeper({
    ttlMs,
    clock,
    run: ({ work }) => work(operations),
    onChange: (lease) => changes.push(lease),
  });
});

const named = (): readonly string[] => calls.map(({ call }) => call);

describe('the keeper of a lease', () => {
  it('renews the newest object each third of its time', async () => {
    await keeper.take({ waitMs: 0, onTimeout: 'take-over' });
    const kept = keeper.keep(ending.signal);
    await clock.advance(ttlMs);
    expect(named()).toEqual(['acquire', 'renew 7', 'renew 8', 'renew 9']);
    expect(calls.map(({ atMs }) => atMs - (calls[0]?.atMs ?? 0))).toEqual([0, 10_000, 20_000, 30_000]);
    ending.abort();
    await kept;
  });

  it('goes on after a renewal that failed', async () => {
    await keeper.take({ waitMs: 0, onTimeout: 'take-over' });
    const good = renew;
    renew = () => {
      throw new SyncAgentError('REMOTE_UNREACHABLE', 'Cannot reach it');
    };
    const kept = keeper.keep(ending.signal);
    await clock.advance(ttlMs / 3);
    renew = good;
    await clock.advance(ttlMs / 3);
    expect(named()).toEqual(['acquire', 'renew 7', 'renew 7']);
    ending.abort();
    await kept;
  });

  it('keeps the epoch of a lease that was lost, asks no more, and does not give back what is not its own', async () => {
    await keeper.take({ waitMs: 0, onTimeout: 'take-over' });
    renew = () => ({ type: 'lost', to: 'web-2' });
    await clock.run(keeper.keep(ending.signal));
    expect(keeper.epoch()).toBe(7);
    expect(changes.at(-1)).toEqual({ epoch: 7, isLost: true });
    await keeper.release(ending.signal);
    expect(named()).toEqual(['acquire', 'renew 7']);
  });

  it('takes it from nobody when it comes late, and tries until it is free', async () => {
    acquire = () => {
      throw new SyncAgentError('BUSY', 'Cannot take it');
    };
    const kept = keeper.keep(ending.signal);
    await clock.advance(ttlMs / 3);
    expect(keeper.epoch()).toBeUndefined();
    acquire = () => first;
    await clock.advance(ttlMs / 3);
    expect(acquired).toMatchObject(Array.from({ length: 3 }, () => ({ waitMs: 0, onTimeout: 'fail' })));
    expect(keeper.epoch()).toBe(7);
    ending.abort();
    await kept;
  });

  it.each([
    ['its epoch', () => first, 7],
    [
      'none if that failed',
      () => {
        throw new SyncAgentError('BUSY', 'Cannot take it');
      },
      undefined,
    ],
  ])('tells once the first attempt has ended %s', async (_, attempt, epoch) => {
    acquire = attempt;
    let told: unknown = 'nothing';
    const telling = keeper.epochOnceTried(ending.signal).then((found) => (told = found));
    await clock.advance(2999);
    expect(told).toBe('nothing');
    const kept = keeper.keep(ending.signal);
    await telling;
    expect(told).toBe(epoch);
    expect(clock.monotonic()).toBe(calls[0]?.atMs);
    ending.abort();
    await clock.run(kept);
  });

  it('tells what there is where the first attempt takes long, and at once where somebody stops', async () => {
    let told: unknown = 'nothing';
    const telling = keeper.epochOnceTried(ending.signal).then((found) => (told = found));
    await clock.advance(3000);
    await telling;
    expect(told).toBeUndefined();
    const asked = keeper.epochOnceTried(ending.signal);
    ending.abort();
    expect(await asked).toBeUndefined();
  });

  it('does not ask again where there are no leases to be had', async () => {
    acquire = () => {
      throw new SyncAgentError('UNSUPPORTED', 'Cannot take a lease');
    };
    await clock.run(keeper.keep(ending.signal));
    expect(named()).toEqual(['acquire']);
  });

  it('gives it back once, and never rejects', async () => {
    await keeper.take({ waitMs: 0, onTimeout: 'fail' });
    await keeper.release(ending.signal);
    await keeper.release(ending.signal);
    expect(named()).toEqual(['acquire', 'release']);
    expect(changes.at(-1)).toBeNull();
  });
});
