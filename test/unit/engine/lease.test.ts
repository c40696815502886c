import { afterEach, describe, expect, it } from 'vitest';
import { planLease } from '../../../src/engine/lease/plan-lease.ts';
import { SyncAgentError } from '../../../src/platform/errors.ts';
import { textBody } from '../../../src/remotes/body.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { leaseKey, parseLeaseKey } from '../../../src/log/layout.ts';
import { readLeases } from '../../../src/log/lease-log.ts';
import type { LeaseObject } from '../../../src/log/lease-log.ts';
import { makeHost, shiftableClock } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';
import { passThrough } from '../../support/race.ts';

const session = (digit: string): string => digit.repeat(32);
const ttlMs = 60_000;

const lease = (extra: Partial<LeaseObject> = {}): LeaseObject => ({
  format: 1,
  state: 'held',
  epoch: 7,
  ttlMs,
  acquiredAt: '2026-01-01T00:00:00.000Z',
  holder: { host: 'old', agent: 'a', session: session('a') },
  uploadId: session('c'),
  ...extra,
});

describe('planLease', () => {
  const listed = Date.UTC(2026, 0, 1);
  const plan = (newest: LeaseObject | undefined | 'none', ageMs: number, mine = session('b')) =>
    planLease(
      {
        serverTime: new Date(listed + ageMs),
        newest: newest === 'none' ? undefined : { number: 9, lastModified: new Date(listed), lease: newest },
      },
      { session: mine, ttlMs: 1000 },
    );

  it.each([
    ['nobody ever took it', plan('none', 0), { type: 'free', why: 'none' }],
    ['it was given back', plan(lease({ state: 'released' }), 0), { type: 'free', why: 'released' }],
    ['its time is over', plan(lease(), ttlMs + 1), { type: 'free', why: 'expired' }],
    ['its time is just not over', plan(lease(), ttlMs), { type: 'held', number: 9, remainingMs: 0 }],
    ['it is ours', plan(lease(), 0, session('a')), { type: 'ours', number: 9 }],
    ['it is ours still, since nobody took it', plan(lease(), 2 * ttlMs, session('a')), { type: 'ours' }],
    ['we gave it back', plan(lease({ state: 'released' }), 0, session('a')), { type: 'free' }],
    ['it cannot be read', plan(undefined, 400), { type: 'held', lease: undefined, remainingMs: 600 }],
    ['it could not be read for long', plan(undefined, 1001), { type: 'free', why: 'expired' }],
  ])('when %s', (_, found, expected) => {
    expect(found).toMatchObject(expected);
  });
});

const hosts: Host[] = [];
afterEach(async () => {
  for (const host of hosts.splice(0)) await host.remove();
});

/** Hosts that share a memory remote, and a clock that sleeping sets forward. */
function world(wrap: (store: Remote) => Remote = (store) => store) {
  const shiftable = shiftableClock();
  const slept: number[] = [];
  const clock = {
    ...shiftable,
    monotonic: shiftable.now,
    sleep: async (ms: number) => {
      slept.push(ms);
      shiftable.forward(ms);
    },
  };
  const memory = createMemoryRemote({ now: shiftable.now });
  const host = async (remote = wrap(memory)): Promise<Host> => {
    const made = await makeHost({ remote, clock });
    hosts.push(made);
    return made;
  };
  return { memory, host, slept, forward: shiftable.forward };
}

/** The effect of each first write of a lease object is there, its answer is not. */
const losingAnswers = (store: Remote): Remote => {
  const lost = new Set<string>();
  return {
    ...passThrough(store),
    put: async (key, body, options) => {
      const result = await store.put(key, body, options);
      if (parseLeaseKey(key) === undefined || lost.has(key)) return result;
      lost.add(key);
      throw new SyncAgentError('REMOTE_UNREACHABLE', 'Cannot put: the connection was reset');
    },
  };
};

/** As `losingAnswers`, with a retry that finds the number taken. */
const repeatingPuts = (store: Remote): Remote => ({
  ...passThrough(store),
  put: async (key, body, options) => {
    const result = await store.put(key, body, options);
    return parseLeaseKey(key) === undefined ? result : store.put(key, body, options);
  },
});

describe('a lease', () => {
  it.each([
    ['lost', losingAnswers],
    ['repeated', repeatingPuts],
  ])('is known for its own when the answer was %s', async (_, wrap) => {
    const { host, memory } = world(wrap);
    const { agent } = await host();
    const taken = await agent.acquireLease({ ttlMs });
    const renewed = await agent.renewLease(taken);
    expect(renewed).toMatchObject({ type: 'renewed', lease: { number: taken.number + 1 } });
    // The answer of that renewal may have been lost to the caller as well.
    const again = await agent.renewLease(taken);
    expect(again).toMatchObject({ type: 'renewed', lease: { number: taken.number + 2 } });
    expect(await agent.releaseLease(taken)).toEqual({ type: 'released' });
    expect((await readLeases(memory)).newest).toMatchObject({ lease: { state: 'released' } });
    expect(await agent.renewLease(taken)).toMatchObject({ type: 'lost' });
  });

  it('is waited for in pauses of a second, and no longer than it lasts', async () => {
    const { host, slept } = world();
    const [old, next] = [await host(), await host()];
    await old.agent.acquireLease({ ttlMs });
    const waited = await next.agent.waitForLease({ waitMs: 10 * ttlMs });
    expect(waited).toMatchObject({ type: 'free' });
    expect(waited.waitedMs).toBeLessThanOrEqual(ttlMs + 1000);
    expect(Math.max(...slept)).toBeLessThanOrEqual(1000);
    expect(next.events.filter((event) => event.type === 'lease')).toHaveLength(1);
  });

  it('is not had by a host that slept until its number was used and swept', async () => {
    const all = world();
    const other = await all.host();
    let sleeps: (() => Promise<void>) | undefined;
    const sleeper = await all.host({
      ...passThrough(all.memory),
      put: async (key, body, options) => {
        if (parseLeaseKey(key) !== undefined) {
          const sleep = sleeps;
          sleeps = undefined;
          await sleep?.();
        }
        return all.memory.put(key, body, options);
      },
    });
    const othersGoOn = async (): Promise<void> => {
      let taken = await other.agent.acquireLease({ ttlMs });
      for (let count = 0; count < 10; count += 1) {
        const renewed = await other.agent.renewLease(taken);
        if (renewed.type === 'renewed') taken = renewed.lease;
      }
    };
    const numbers = async (): Promise<readonly number[]> => (await readLeases(all.memory)).numbers;

    sleeps = othersGoOn;
    const late = sleeper.agent.acquireLease({ ttlMs, onTimeout: 'fail' });
    await expect(late).rejects.toMatchObject({ code: 'BUSY' });
    expect(await numbers()).not.toContain(1);

    const taken = await sleeper.agent.acquireLease({ ttlMs });
    sleeps = othersGoOn;
    expect(await sleeper.agent.renewLease(taken)).toMatchObject({ type: 'lost' });
    expect(await numbers()).not.toContain(taken.number + 1);
  });

  it('is asked for again when its number was taken, and swept before it could be read', async () => {
    let refusals = 0;
    const { host } = world((store) => ({
      ...passThrough(store),
      put: async (key, body, options) => {
        if (parseLeaseKey(key) === undefined || refusals > 0) return store.put(key, body, options);
        refusals += 1;
        throw new SyncAgentError('ALREADY_EXISTS', 'Cannot put: it already exists');
      },
    }));
    const { agent } = await host();
    expect(await agent.acquireLease({ ttlMs })).toMatchObject({ epoch: 1 });
    expect(refusals).toBe(1);
  });

  it('is listed again when its newest object was swept before it could be read', async () => {
    const { host, memory } = world();
    const { agent } = await host();
    const taken = await agent.acquireLease({ ttlMs });
    let isSwept = false;
    const racing: Remote = {
      ...passThrough(memory),
      get: async (key, options) => {
        if (!isSwept) {
          isSwept = true;
          await agent.renewLease(taken);
          await memory.remove([leaseKey(taken.number)]);
        }
        return memory.get(key, options);
      },
    };
    expect((await readLeases(racing)).newest).toMatchObject({ number: 2, lease: { epoch: 1 } });
  });

  it('that is still held when the time is up: goes on with a warning, or fails', async () => {
    const { host } = world();
    const [old, next] = [await host(), await host()];
    const taken = await old.agent.acquireLease({ ttlMs });
    expect(await next.agent.waitForLease({ waitMs: 3000 })).toMatchObject({
      type: 'timed-out',
      host: expect.stringContaining('host-') as string,
    });
    expect(next.events.at(-1)).toMatchObject({ type: 'warning', code: 'BUSY' });
    await expect(next.agent.waitForLease({ waitMs: 3000, onTimeout: 'fail' })).rejects.toMatchObject({
      code: 'BUSY',
    });
    await expect(next.agent.acquireLease({ ttlMs, onTimeout: 'fail' })).rejects.toMatchObject({
      code: 'BUSY',
    });
    expect(await old.agent.renewLease(taken)).toMatchObject({ type: 'renewed' });
  });

  it('is waited for as long again when another host took it meanwhile', async () => {
    const all = world();
    const [old, other] = [await all.host(), await all.host()];
    await old.agent.acquireLease({ ttlMs });
    let isTaken = false;
    const third = await all.host({
      ...passThrough(all.memory),
      put: async (key, body, options) => {
        if (parseLeaseKey(key) !== undefined && !isTaken) {
          isTaken = true;
          await other.agent.acquireLease({ ttlMs });
        }
        return all.memory.put(key, body, options);
      },
    });
    const before = all.slept.length;
    const { epoch } = await third.agent.acquireLease({ ttlMs, waitMs: 5000 });
    expect(epoch).toBe(3);
    expect(all.slept.slice(before).reduce((sum, ms) => sum + ms, 0)).toBeGreaterThanOrEqual(9000);
  });

  it('whose object is damaged blocks no longer than one that is not', async () => {
    const { host, memory } = world();
    const [old, next] = [await host(), await host()];
    const taken = await old.agent.acquireLease({ ttlMs });
    await memory.put(leaseKey(taken.number), textBody('{"format":1'));
    expect((await next.agent.status()).lease).toMatchObject({ epoch: taken.number, host: undefined });
    expect(await next.agent.waitForLease({ waitMs: 10 * ttlMs })).toMatchObject({ type: 'free' });
    expect(next.events[0]).toMatchObject({ type: 'lease', state: 'waiting', host: undefined });
  });

  it('of a newer version is not guessed at', async () => {
    const { host, memory } = world();
    await memory.put(leaseKey(1), textBody('{"format":2}'));
    const { agent } = await host();
    await expect(agent.waitForLease({ waitMs: 0 })).rejects.toMatchObject({ code: 'TOO_NEW' });
    await expect(agent.acquireLease({ ttlMs })).rejects.toMatchObject({ code: 'TOO_NEW' });
  });

  it('ranks above every snapshot, even if somebody deleted all leases', async () => {
    const { host, memory } = world();
    const { agent, write } = await host();
    const taken = await agent.acquireLease({ ttlMs });
    await write({ f: 'x' });
    await agent.backup({ epoch: taken.epoch + 40 });
    await memory.remove([leaseKey(taken.number)]);
    expect(await agent.acquireLease({ ttlMs })).toMatchObject({ epoch: taken.epoch + 41 });
  });

  it('cannot be had where create-only writes are not enforced', async () => {
    const { host, memory } = world((store) => ({
      ...passThrough(store),
      put: (key, body, options) => store.put(key, body, { ...options, ifAbsent: false }),
    }));
    const { agent } = await host();
    await expect(agent.acquireLease({ ttlMs })).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      remedy: expect.stringContaining('If-None-Match') as string,
    });
    expect((await readLeases(memory)).newest).toBeUndefined();
  });

  it.each([0, -1, 1.5, 86_400_001, Number.NaN])('does not last for %s ms', async (bad) => {
    const { host } = world();
    await expect((await host()).agent.acquireLease({ ttlMs: bad })).rejects.toMatchObject({ code: 'USAGE' });
  });

  it('goes on where old objects may not be deleted', async () => {
    const { host } = world((store) => ({
      ...passThrough(store),
      remove: async (keys) => {
        throw new SyncAgentError('DENIED', `Cannot remove ${keys.length}`);
      },
    }));
    const { agent } = await host();
    let taken = await agent.acquireLease({ ttlMs });
    for (let count = 0; count < 10; count += 1) {
      const renewed = await agent.renewLease(taken);
      expect(renewed.type).toBe('renewed');
      if (renewed.type === 'renewed') taken = renewed.lease;
    }
  });

  it('costs hosts that do not use it nothing', async () => {
    const touched: string[] = [];
    const { host } = world((store) => ({
      ...passThrough(store),
      async *list(prefix, options) {
        touched.push(prefix);
        yield* store.list(prefix, options);
      },
    }));
    const { agent, write, wipe } = await host();
    await write({ f: 'x' });
    await agent.backup();
    await wipe();
    await agent.restore();
    await agent.sync();
    expect(touched).toContain('commits/');
    expect(touched).not.toContain('leases/');
  });
});
