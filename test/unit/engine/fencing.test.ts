import { chmod, utimes } from 'node:fs/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { collect } from '../../../src/remotes/body.ts';
import { SyncAgentError } from '../../../src/platform/errors.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { readLog } from '../../../src/log/commit-log.ts';
import { byPrecedence, epochForCommit, outrankingAncestor } from '../../../src/log/precedence.ts';
import { unresolvedTips } from '../../../src/log/retention.ts';
import { passThrough } from '../../support/race.ts';
import { makeHost, shiftableClock } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';
import { logOf } from '../../support/log-of.ts';

const hosts: Host[] = [];
afterEach(async () => {
  for (const host of hosts.splice(0)) await host.remove();
});

const graceMs = 60_000;

function world() {
  const clock = shiftableClock();
  const remote = createMemoryRemote({ now: clock.now });
  const host = async (
    { keepLast, seen }: { keepLast: number; seen: Remote } = { keepLast: 1, seen: remote },
  ): Promise<Host> => {
    const made = await makeHost({ remote: seen, clock, settings: { graceMs, keepLast } });
    hosts.push(made);
    return made;
  };
  const textOf = async (key: string): Promise<string> =>
    (await collect((await remote.get(key)).body, 1_000_000)).toString('utf8');
  return { remote, clock, host, textOf };
}

/** The old host has epoch 1. It backs up once more after the newcomer, with epoch 2, has begun to. */
async function handOver() {
  const all = world();
  const [old, newcomer] = [await all.host(), await all.host()];
  await old.write({ f: 'first' });
  const first = await committed(old, 1);
  await newcomer.agent.restore();
  await newcomer.write({ f: 'newcomer' });
  const second = await committed(newcomer, 2);
  await old.write({ f: 'late, and longer' });
  const late = await committed(old, 1);
  return { ...all, old, newcomer, first, second, late };
}

async function committed(host: Host, epoch?: number) {
  const result = await host.agent.backup({ force: true, ...(epoch === undefined ? {} : { epoch }) });
  if (result.type !== 'committed') throw new Error(`nothing committed: ${result.type}`);
  return result;
}

describe('a snapshot of a host that lost its lease', () => {
  it('is kept, is told as a divergence, and is not what others restore', async () => {
    const { old, second, late, host, remote } = await handOver();
    expect(late).toMatchObject({ generation: 3, isFenced: true, diverged: [late.id, second.id] });
    expect(old.events).toContainEqual(expect.objectContaining({ type: 'warning', code: 'DIVERGED' }));
    const third = await host();
    expect(await third.agent.restore()).toMatchObject({ type: 'restored', id: second.id });
    expect(await third.read()).toEqual({ f: 'newcomer' });
    expect((await third.agent.list()).map(({ id }) => id).slice(-2)).toEqual([late.id, second.id]);
    expect(await third.agent.restoreTo(`${third.root}/late`, { snapshot: '~1' })).toMatchObject({
      id: late.id,
    });
    expect((await readLog(logOf(remote))).head?.id).toBe(late.id);
  });

  it('does not take the place of the current files', async () => {
    const { textOf, second, newcomer } = await handOver();
    expect(await textOf('f')).toBe('newcomer');
    expect(JSON.parse(await textOf('manifest.json'))).toMatchObject({ id: second.id, epoch: 2 });
    await newcomer.write({ f: 'newest' });
    await committed(newcomer, 2);
    expect(await textOf('f')).toBe('newest');
  });

  it('leaves the next holder undisturbed, and its host diverged', async () => {
    const { newcomer, old, second } = await handOver();
    expect(await newcomer.agent.status()).toMatchObject({
      relation: 'up-to-date',
      newest: { id: second.id },
    });
    expect(await newcomer.agent.restore()).toMatchObject({ type: 'equal', id: second.id });
    await utimes(`${old.store}/f`, 1, 1);
    expect(await old.agent.restore()).toMatchObject({
      type: 'diverged',
      why: expect.stringContaining('the store equals snapshot') as string,
    });
    await old.write({ f: 'written since' });
    expect(await old.agent.sync()).toMatchObject({ type: 'diverged', id: second.id });
    await newcomer.write({ f: 'goes on' });
    expect(await committed(newcomer, 2)).toMatchObject({ diverged: [], parent: second.id });
    expect(await old.agent.status()).toMatchObject({ relation: 'diverged' });
    expect(await old.agent.restore()).toMatchObject({ type: 'diverged' });
  });

  it('is not what a store of unknown origin is compared with', async () => {
    const { host, second } = await handOver();
    const unknown = await host();
    await unknown.write({ f: 'newcomer' });
    await chmod(`${unknown.store}/f`, 0o644);
    expect(await unknown.agent.backup()).toEqual({ type: 'unchanged', id: second.id });
  });

  it('takes no place among those that retention keeps as the newest', async () => {
    const { clock, host, remote } = world();
    const [old, newcomer] = [
      await host({ keepLast: 2, seen: remote }),
      await host({ keepLast: 2, seen: remote }),
    ];
    await old.write({ f: 'first' });
    await committed(old, 1);
    await newcomer.agent.restore();
    const kept: string[] = [];
    for (const f of ['second', 'the third']) {
      await newcomer.write({ f });
      kept.push((await committed(newcomer, 2)).id);
    }
    clock.forward(3 * graceMs);
    await old.write({ f: 'late, and longer' });
    const late = await committed(old, 1);
    expect((await old.agent.list()).map(({ id }) => id)).toEqual([late.id, ...kept]);
  });

  it('is not published when the log cannot be read after its commit', async () => {
    const { host, remote, textOf } = await handOver();
    let isCommitted = false;
    const seen: Remote = {
      ...passThrough(remote),
      put: async (key, body, options) => {
        const result = await remote.put(key, body, options);
        if (key.startsWith('commits/')) isCommitted = true;
        return result;
      },
      async *list(prefix, options) {
        if (isCommitted && prefix === 'commits/')
          throw new SyncAgentError('REMOTE_UNREACHABLE', 'Cannot list: the connection was reset');
        yield* remote.list(prefix, options);
      },
    };
    const other = await host({ keepLast: 1, seen });
    await other.write({ f: 'from a host that is cut off' });
    expect(await committed(other, 1)).toMatchObject({ isFenced: true });
    expect(await textOf('f')).toBe('newcomer');
  });

  it('is told each time, even if it grew from the newest', async () => {
    const { old, newcomer, second } = await handOver();
    await old.write({ f: 'later still, and longer' });
    expect(await committed(old, 1)).toMatchObject({ isFenced: true });
    await old.agent.restore({ force: true });
    await old.write({ f: 'a child of the newest' });
    const child = await committed(old, 1);
    expect(child).toMatchObject({ parent: second.id, isFenced: true });
    expect(child.diverged).toContain(second.id);
    expect((await newcomer.agent.status()).newest?.id).toBe(second.id);
  });

  it('outlives pruning while it is a tip, and is dropped once it is settled', async () => {
    const { newcomer, second, late, first, clock } = await handOver();
    clock.forward(3 * graceMs);
    expect(await newcomer.agent.prune()).toMatchObject({
      dropped: [first.id],
      retained: [late.id, second.id],
    });
    expect(await newcomer.agent.prune({ resolve: [late.id] })).toMatchObject({ dropped: [late.id] });
    expect((await newcomer.agent.list()).map(({ id, epoch }) => [id, epoch])).toEqual([[second.id, 2]]);
    clock.forward(3 * graceMs);
    await newcomer.agent.prune();
    expect(await newcomer.agent.prune()).toMatchObject({ dropped: [], objects: 0 });
    expect(await newcomer.agent.verify({ all: true })).toMatchObject({ isSound: true });
  });

  it('becomes the newest by a backup without a lease, where a person chose it', async () => {
    const { newcomer, late } = await handOver();
    await newcomer.agent.restore({ snapshot: late.id });
    await newcomer.write({ f: 'on the old line' });
    const chosen = await committed(newcomer);
    expect(chosen).toMatchObject({ isFenced: false, diverged: [] });
    const { newest, tips } = await newcomer.agent.status();
    expect(newest).toMatchObject({ id: chosen.id, epoch: 2 });
    expect(tips).toEqual([chosen.id]);
  });
});

describe('precedence', () => {
  const entry = (generation: number, epoch?: number) => ({
    generation,
    id: `s${generation}`,
    parent: null,
    createdAt: '',
    host: '',
    bytes: 0,
    records: 0,
    ...(epoch === undefined ? {} : { epoch }),
  });

  it('is by epoch first, then by generation; no epoch is the lowest', () => {
    const all = [entry(4), entry(2, 3), entry(3, 1), entry(1, 3)];
    expect(all.toSorted(byPrecedence).map((each) => each.generation)).toEqual([4, 3, 1, 2]);
  });

  it('makes the newest snapshot a tip, in whatever order they come', () => {
    const all = [entry(2, 3), entry(4)];
    expect(unresolvedTips(all, ['s2', 's4']).map(({ id }) => id)).toEqual(['s2']);
  });

  it('finds the snapshot before another one that counts more than all between', () => {
    const line = (...epochs: number[]) =>
      epochs.map((epoch, i) => ({ ...entry(i + 1, epoch), parent: i === 0 ? null : `s${i}` }));
    const found = (...epochs: number[]) => outrankingAncestor(line(...epochs), `s${epochs.length}`)?.id;
    expect(found(1, 2, 3)).toBeUndefined();
    expect(found(2, 2)).toBeUndefined();
    expect(found(1, 3, 2)).toBe('s2');
    expect(found(1, 3, 2, 2)).toBe('s2');
    expect(found(4, 3, 2)).toBe('s1');
    expect(found(1, 3, 2, 3)).toBeUndefined();
    expect(outrankingAncestor(line(1), 'another')).toBeUndefined();
    expect(
      outrankingAncestor(
        [
          { ...entry(1, 1), parent: 's2' },
          { ...entry(2, 2), parent: 's1' },
        ],
        's1',
      )?.id,
    ).toBe('s2');
  });

  it('stamps with the lease, else with what makes a snapshot the newest', () => {
    expect(epochForCommit([entry(1, 5), entry(2)], undefined)).toEqual({ epoch: 5 });
    expect(epochForCommit([entry(1, 5)], 3)).toEqual({ epoch: 3 });
    expect(epochForCommit([entry(1)], undefined)).toEqual({});
    expect(epochForCommit([], undefined)).toEqual({});
  });
});
