import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Lineage } from '../../../src/engine/lineage.ts';
import { planSync } from '../../../src/engine/sync.ts';
import type { SyncPlan } from '../../../src/engine/sync.ts';
import { withHooks } from '../../../src/hooks/with-hooks.ts';
import type { Hooks } from '../../../src/hooks/hook.ts';
import { noRemoteState } from '../../../src/home/state.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import type { AgentEvent } from '../../../src/platform/events.ts';
import type { Agent } from '../../../src/api/agent.ts';
import type { LogEntry } from '../../../src/log/manifest.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { makeHost } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';

describe('the plan of a sync', () => {
  const entry = (id: string, parent: string | null): LogEntry => ({ id, parent }) as LogEntry;
  const snapshots = [entry('one', null), entry('two', 'one'), entry('beside', null)];
  /** A host that lost its lease committed `two`, which ranks below. */
  const fenced = [entry('two', 'one'), entry('one', null)];
  const lineage: Lineage = {
    exists: true,
    parent: undefined,
    isUnchanged: false,
    isParentLost: false,
    state: noRemoteState,
  };
  const grown = { ...lineage, parent: 'one' };
  const settled = { ...noRemoteState, settled: ['two'] };

  it.each<readonly [string, SyncPlan, Partial<Lineage>, readonly LogEntry[]]>([
    ['without a store', 'restore', { exists: false }, []],
    ['without a snapshot', 'backup', {}, []],
    ['of a store that grew from the newest', 'backup', { parent: 'two' }, snapshots.slice(0, 2)],
    [
      'of a store that was chosen over the newest',
      'backup',
      { ...grown, state: settled },
      snapshots.slice(0, 2),
    ],
    ['of a store whose parent was lost', 'backup', { ...grown, isParentLost: true }, snapshots.slice(1, 2)],
    ['of a store of unknown origin', 'restore', {}, snapshots],
    [
      'of an unchanged store that is behind',
      'restore',
      { ...grown, isUnchanged: true },
      snapshots.slice(0, 2),
    ],
    ['of a changed store that is behind', 'diverged', grown, snapshots.slice(0, 2)],
    ['of a changed store beside which another one grew', 'diverged', grown, snapshots],
    ['of a changed store that the newest is an ancestor of', 'backup', { parent: 'two' }, fenced],
  ])('%s is: %s', (_, plan, facts, log) => {
    expect(planSync(log, { ...lineage, ...facts })).toBe(plan);
  });
});

describe('a sync', () => {
  let remote: Remote;
  let host: Host;
  let monotonicShiftMs: number;
  let events: AgentEvent[];

  beforeEach(async () => {
    [monotonicShiftMs, events] = [0, []];
    remote = createMemoryRemote({ now: Date.now });
    const clock = { ...systemClock, monotonic: () => systemClock.monotonic() + monotonicShiftMs };
    host = await makeHost({ remote, clock });
    await host.write({ a: 'one' });
  });
  afterEach(() => host.remove());

  const hooked = (hooks: Hooks, onHook: (hook: string) => void = () => undefined): Agent =>
    withHooks(host.agent, hooks, {
      store: host.store,
      remote: 'file:///unused',
      emit: (event) => {
        events.push(event);
        if (event.type === 'hook') onHook(event.hook);
      },
    });
  const all: Hooks = {
    beforeBackup: 'true',
    afterBackup: 'true',
    beforeRestore: 'true',
    afterRestore: 'true',
  };
  const named = (): readonly string[] =>
    events.flatMap((event) => (event.type === 'hook' ? [event.hook] : []));
  /** What the first snapshot was, once the files' times prove that the store equals it. */
  const settle = async (): Promise<string> => {
    for (;;) {
      const result = await host.agent.backup();
      if ((await host.agent.localStatus()).isUnchanged && 'id' in result) return result.id;
    }
  };
  const counts = () => {
    const { list, get, head, put } = host.agent.counts();
    return { list, get, head, put };
  };
  const costOf = async (work: () => Promise<unknown>) => {
    const before = counts();
    await work();
    const after = counts();
    return {
      list: after.list - before.list,
      others: after.get + after.head + after.put - before.get - before.head - before.put,
    };
  };

  it.each([
    ['without hooks', () => host.agent],
    ['with hooks', () => hooked(all)],
  ])('of an unchanged store costs two listings and nothing else, %s', async (_, agentOf) => {
    const id = await settle();
    const agent = agentOf();
    const cost = await costOf(async () => expect(await agent.sync()).toEqual({ type: 'unchanged', id }));
    expect(cost).toEqual({ list: 2, others: 0 });
  });

  it('that restores costs with hooks what it costs without', async () => {
    await settle();
    const restored = async (agent: Agent) => {
      await host.wipe();
      return costOf(async () => expect(await agent.sync()).toMatchObject({ type: 'restored' }));
    };
    const bare = await restored(host.agent);
    expect(await restored(hooked(all))).toEqual(bare);
    expect(named()).toEqual(['before-restore', 'after-restore']);
  });

  it('that is a dry run reads the log once', async () => {
    await settle();
    expect(await costOf(() => host.agent.sync({ dryRun: true }))).toEqual({ list: 2, others: 0 });
    await host.write({ a: 'two' });
    const cost = await costOf(async () =>
      expect(await host.agent.sync({ dryRun: true })).toMatchObject({ type: 'planned' }),
    );
    const alone = await costOf(() => host.agent.backup({ dryRun: true }));
    expect(cost).toEqual(alone);
  });

  it('does not believe what it read before a hook made a backup itself', async () => {
    await settle();
    await host.write({ a: 'written before the hook' });
    const foreseen = await host.agent.foreseeSync();
    await host.agent.backup();
    const result = await host.agent.sync({ reading: foreseen.reading });
    expect(result).toMatchObject({ type: 'unchanged' });
    expect(host.events.filter(({ type }) => type === 'warning')).toEqual([]);
  });

  it('reads the log again after a hook that took its time', async () => {
    await settle();
    const slow = hooked(all, () => (monotonicShiftMs += 11_000));
    expect(await costOf(() => slow.sync())).toEqual({ list: 3, others: 0 });
  });

  it('decides anew by the store that a hook left: one that stopped a server, which wrote its last', async () => {
    await settle();
    const other = await makeHost({ remote });
    await other.agent.restore();
    await other.write({ a: 'two' });
    await other.agent.backup();
    const foreseen = await host.agent.foreseeSync();
    expect(foreseen.operation).toBe('restore');
    await host.write({ a: 'the last words of the server' });
    expect(await host.agent.sync({ reading: foreseen.reading })).toMatchObject({
      type: 'diverged',
      why: 'the local store and the remote both moved',
    });
    expect(await host.read()).toEqual({ a: 'the last words of the server' });
    await other.remove();
  });

  it('tells a divergence once, with hooks as without', async () => {
    await settle();
    const other = await makeHost({ remote });
    await other.write({ b: 'of unknown origin' });
    expect((await other.agent.foreseeSync()).operation).toBe('backup');
    expect(other.events.filter(({ type }) => type === 'diverged')).toEqual([]);
    expect(await other.agent.sync()).toMatchObject({ type: 'diverged' });
    expect(other.events.filter(({ type }) => type === 'diverged')).toHaveLength(1);
    await other.remove();
  });

  it('whose remote cannot be read counts as a backup that failed, asked once', async () => {
    await settle();
    const failing = { ...host.agent, foreseeSync: () => Promise.reject(new Error('no answer')) };
    const agent = withHooks(failing, all, {
      store: host.store,
      remote: 'file:///unused',
      emit: (event) => events.push(event),
    });
    await expect(agent.sync()).rejects.toThrow('no answer');
    expect(named()).toEqual(['before-backup', 'after-backup']);
  });
});
