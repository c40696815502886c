import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { textBody } from '../../../src/remotes/body.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { readLog } from '../../../src/log/commit-log.ts';
import { commitKey } from '../../../src/log/layout.ts';
import { pinsOf } from '../../../src/log/manifest.ts';
import { encodeManifest } from '../../../src/log/manifest-text.ts';
import { formats as released } from '../../../src/formats/registry.ts';
import type { Formats } from '../../../src/formats/registry.ts';
import { formatCases } from '../../support/format-cases.ts';
import { makeHost, shiftableClock } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';
import { passThrough } from '../../support/race.ts';
import { logOf } from '../../support/log-of.ts';

const graceMs = 3_600_000;
const settings = { keepLast: 1, graceMs };
let clock: ReturnType<typeof shiftableClock>;
let remote: ReturnType<typeof createMemoryRemote>;
let formats: Formats = released;
let host: Host;
let others: Host[] = [];

beforeEach(async () => {
  clock = shiftableClock();
  remote = createMemoryRemote({ now: () => clock.now() });
  host = await makeHost({ remote, clock, settings });
  others = [];
});
afterEach(async () => {
  for (const each of [host, ...others]) await each.remove();
});

async function another(store: Remote = remote): Promise<Host> {
  const made = await makeHost({ remote: store, clock, formats, settings });
  others.push(made);
  return made;
}

/** So many snapshots one after the other, each older than the grace period when the next is made. Resolves to the last. */
async function snapshots(count: number, from: Host = host, gapMs = 2 * graceMs): Promise<string> {
  let id = '';
  for (let n = 0; n < count; n += 1) {
    clock.forward(gapMs);
    await from.write({ a: `${clock.now()}` });
    const result = await from.agent.backup();
    if (result.type !== 'committed') throw new Error(result.type);
    id = result.id;
  }
  return id;
}

const live = async (): Promise<readonly string[]> =>
  (await readLog({ remote, formats })).snapshots.map(({ entry }) => entry.id);
const pins = async () => {
  const { head, serverTime } = await readLog({ remote, formats });
  return [...pinsOf(head, serverTime).values()];
};

describe.each(formatCases)('a pinned snapshot of %s content', (_, format) => {
  beforeEach(async () => {
    ({ formats } = format);
    others.push(host);
    host = await another();
  });
  afterEach(() => {
    formats = released;
  });

  it('outlives every backup, prune and clear-history of any host, with its files, until it is unpinned', async () => {
    const id = await snapshots(1);
    expect(await host.agent.pin('latest', { reason: 'before the move' })).toMatchObject({
      id,
      isChanged: true,
      pin: { id, reason: 'before the move' },
    });
    const newest = await snapshots(3);
    expect(await live()).toEqual([id, newest]);
    const second = await another();
    expect((await second.agent.restore()).type).toBe('restored');
    const theirs = await snapshots(2, second);
    clock.forward(2 * graceMs);
    await second.agent.prune();
    expect(await live()).toEqual([id, theirs]);
    expect(await second.agent.clearHistory()).toMatchObject({
      dropped: [],
      reasons: { [id]: ['pinned'], [theirs]: ['newest'] },
    });
    expect(await second.agent.verify({ all: true, readData: true })).toMatchObject({ isSound: true });
    expect(await second.agent.list()).toMatchObject([
      { id, pin: { reason: 'before the move' } },
      { pin: undefined },
    ]);
    expect(await second.agent.show(id)).toMatchObject({ pin: { reason: 'before the move' } });
    expect(await second.agent.status()).toMatchObject({ pins: [{ id }], tips: [theirs] });

    expect(await host.agent.unpin(id)).toEqual({ id, pin: undefined, isChanged: true });
    expect(await live()).toEqual([id, theirs]);
    expect(await host.agent.prune()).toMatchObject({ dropped: [id] });
    expect(await pins()).toEqual([]);
  });

  it('is still an ancestor of the newest, though all between them are gone: no divergence, and it is replaced', async () => {
    const id = await snapshots(1);
    const second = await another();
    await second.agent.restore();
    await host.agent.pin(id);
    const newest = await snapshots(3);
    expect(await live()).toEqual([id, newest]);
    expect(await second.agent.status()).toMatchObject({ relation: 'behind', tips: [newest] });
    expect(await second.agent.restore()).toMatchObject({ type: 'restored', id: newest });
  });

  it('is still an ancestor where the gap lies further back', async () => {
    const id = await snapshots(1);
    const second = await another();
    await second.agent.restore();
    await host.agent.pin(id);
    const keeper = await makeHost({ remote, clock, formats, settings: { keepLast: 2, graceMs } });
    others.push(keeper);
    await keeper.agent.restore();
    const newest = await snapshots(4, keeper);
    expect(await live()).toEqual([id, expect.any(String), newest]);
    expect(await second.agent.status()).toMatchObject({ relation: 'behind', tips: [newest] });
  });

  it('that was the end of a settled line does not look like a second tip when that line is dropped', async () => {
    const id = await snapshots(1);
    await host.agent.pin(id);
    const tip = await snapshots(1);
    const second = await another();
    await second.write({ a: 'unrelated' });
    const newest = await snapshots(1, second);
    expect((await host.agent.status()).tips).toEqual([tip, newest]);
    clock.forward(2 * graceMs);
    await host.agent.prune({ resolve: [tip] });
    expect(await live()).toEqual([id, newest]);
    expect((await host.agent.status()).tips).toEqual([newest]);
  });
});

describe('a snapshot that is committed again', () => {
  it.each([-5, 0, 5])('keeps its age, also where the clock of its host is %i hours off', async (hours) => {
    const hour = 3_600_000;
    const serversClock = createMemoryRemote({ now: () => clock.now() - hours * hour });
    const first = await another(serversClock);
    const id = await snapshots(1, first);
    clock.forward(2 * hour);
    await first.agent.pin(id);
    clock.forward(hour);
    await first.agent.pin(id, { reason: 'for longer' });
    const agesInHours = async () => (await first.agent.list()).map(({ ageMs }) => Math.round(ageMs / hour));
    expect(await agesInHours()).toEqual([3]);

    await first.write({ a: 'more than there was before' });
    expect(await first.agent.backup({ minIntervalMs: 2.5 * hour })).toMatchObject({ type: 'committed' });
    clock.forward(hour);
    expect(await agesInHours()).toEqual([4, 1]);
  });
});

describe('pin', () => {
  it('writes nothing where there is nothing new, and takes a new reason', async () => {
    const id = await snapshots(1);
    await host.agent.pin(id);
    const { commits } = await readLog(logOf(remote));
    expect(await host.agent.pin(id)).toMatchObject({ isChanged: false, pin: { reason: '' } });
    const other = await snapshots(1);
    expect(await host.agent.unpin(other)).toMatchObject({ isChanged: false });
    expect((await readLog(logOf(remote))).commits.at(-1)?.generation).toBe(
      (commits.at(-1)?.generation ?? 0) + 1,
    );
    expect(await host.agent.pin(id, { reason: 'why' })).toMatchObject({ isChanged: true });
    expect(await host.agent.pin(id, { reason: 'why' })).toMatchObject({ isChanged: false });
    expect(await host.agent.pin(id)).toMatchObject({ isChanged: false, pin: { reason: 'why' } });
    expect(await pins()).toMatchObject([{ id, reason: 'why' }]);
  });

  it('drops nothing, nor does unpin', async () => {
    await snapshots(2, host, 1000);
    const frugal = await makeHost({ remote, clock, settings: { keepLast: 1, graceMs: 0 } });
    others.push(frugal);
    const before = await live();
    expect(before).toHaveLength(2);
    await frugal.agent.pin('latest');
    await frugal.agent.unpin('latest');
    expect(await live()).toEqual(before);
  });

  it('refuses what is not there, and a reason that is too long', async () => {
    await expect(host.agent.pin('latest')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await snapshots(1);
    await expect(host.agent.pin('~5')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(host.agent.pin('latest', { reason: 'x'.repeat(501) })).rejects.toMatchObject({
      code: 'USAGE',
    });
    expect(await host.agent.pin('latest', { reason: 'x'.repeat(500) })).toMatchObject({ isChanged: true });
  });

  it('finds out that the snapshot went while another host was faster', async () => {
    const id = await snapshots(1);
    const newest = await snapshots(1, host, 1000);
    const slow = await another(beforeCommit(async () => void (await host.agent.clearHistory())));
    await expect(slow.agent.pin(id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(await live()).toEqual([newest]);
    expect(await pins()).toEqual([]);
  });

  it('carries on what another host pinned meanwhile', async () => {
    const first = await snapshots(1);
    const newest = await snapshots(1, host, 1000);
    const slow = await another(beforeCommit(async () => void (await host.agent.pin(first))));
    await slow.agent.pin(newest);
    expect((await pins()).map(({ id }) => id)).toEqual([first, newest]);
  });

  it('never claims to have pinned with a number that was used and freed while the host slept', async () => {
    const id = await snapshots(1);
    const slow = await another(
      beforeCommit(async () => {
        // Three more commits of the same snapshot: its own number void, and freed by a rotation long after.
        for (let n = 0; n < 3; n += 1) await host.agent[n % 2 === 0 ? 'pin' : 'unpin'](id);
        await host.agent.unpin(id);
        await remote.remove([commitKey(2)]);
      }),
    );
    await expect(slow.agent.pin(id)).rejects.toMatchObject({ code: 'BUSY' });
    expect(await pins()).toEqual([]);
  });
});

describe('a pin for a time', () => {
  const dayMs = 86_400_000;

  it('keeps a snapshot until that time, by the server’s clock, and is gone after it', async () => {
    const id = await snapshots(1);
    const { pin } = await host.agent.pin('latest', { reason: 'for now', forMs: dayMs });
    expect(Date.parse(pin?.until ?? '') - clock.now()).toBeLessThanOrEqual(dayMs);
    const [newest] = [await snapshots(2)];
    expect(await live()).toEqual([id, newest]);
    expect(await host.agent.prune({ dryRun: true })).toMatchObject({ reasons: { [id]: ['pinned'] } });
    clock.forward(dayMs);
    expect(await pins()).toEqual([]);
    expect(await host.agent.show(id)).toMatchObject({ pin: undefined });
    const last = await snapshots(1);
    expect(await live()).toEqual([last]);
    expect((await readLog({ remote, formats })).head?.pins).toBeUndefined();
  });

  it('does not shorten a longer one, and one without an end replaces it', async () => {
    const id = await snapshots(1);
    await host.agent.pin(id, { reason: 'long', forMs: 2 * dayMs });
    expect(await host.agent.pin(id, { reason: 'short', forMs: dayMs })).toMatchObject({
      isChanged: false,
      pin: { reason: 'long' },
    });
    expect(await host.agent.pin(id)).toMatchObject({ isChanged: true, pin: { reason: 'long' } });
    expect((await pins())[0]).not.toHaveProperty('until');
    expect(await host.agent.pin(id, { forMs: dayMs })).toMatchObject({ isChanged: false });
  });

  it('is made with the snapshot that it keeps', async () => {
    await host.write({ a: 'x' });
    const made = await host.agent.backup({ pin: { reason: 'with it', forMs: 4 * dayMs } });
    if (made.type !== 'committed') throw new Error(made.type);
    expect(await pins()).toMatchObject([{ id: made.id, reason: 'with it' }]);
    const newest = await snapshots(2);
    expect(await live()).toEqual([made.id, newest]);
  });

  it.each([0, -1, Number.NaN, Infinity, 400 * dayMs])('does not last %j ms', async (forMs) => {
    await snapshots(1);
    await expect(host.agent.pin('latest', { forMs })).rejects.toMatchObject({ code: 'USAGE' });
  });
});

it('a pin of a snapshot that is not live goes with the next commit', async () => {
  const id = await snapshots(1);
  const { head: newest } = await readLog(logOf(remote));
  if (newest === undefined) throw new Error('no commit');
  const pin = { reason: '', at: newest.createdAt, host: 'h' };
  const stray = { ...pin, id: '2001-01-01T00-00-00.000Z-00000001' };
  const forged = { ...newest, generation: 2, pins: [stray, { ...pin, id }] };
  await remote.put(commitKey(2), textBody(encodeManifest(forged)));
  await snapshots(1);
  expect((await pins()).map((each) => each.id)).toEqual([id]);
});

/** The remote, as a host sees it that is overtaken once, just before its commit. */
function beforeCommit(work: () => Promise<void>): Remote {
  let isOvertaken = false;
  return {
    ...passThrough(remote),
    put: async (key, body, options) => {
      if (key.startsWith('commits/') && !isOvertaken) {
        isOvertaken = true;
        await work();
      }
      return remote.put(key, body, options);
    },
  };
}
