import { describe, expect, it } from 'vitest';
import { commitSnapshot, confirmCommit } from '../../../src/engine/backup/commit.ts';
import type { CommitWork } from '../../../src/engine/backup/commit.ts';
import { rotate } from '../../../src/engine/history/rotate.ts';
import type { AgentEvent } from '../../../src/platform/events.ts';
import { textBody } from '../../../src/remotes/body.ts';
import { SyncAgentError } from '../../../src/platform/errors.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { readLog } from '../../../src/log/commit-log.ts';
import { createCommit } from '../../../src/log/create-commit.ts';
import { probeCreateOnly } from '../../../src/log/create-only.ts';
import { attemptKey, commitKey, probeKey } from '../../../src/log/layout.ts';
import { historyKey } from '../../../src/formats/plain/keys.ts';
import { contextOf, draftOf, graceMs, passThrough } from '../../support/race.ts';
import { logOf } from '../../support/log-of.ts';

const start = Date.UTC(2026, 0, 1);

function world(wrap: (store: Remote) => Remote = (store) => store) {
  let now = start;
  const memory = createMemoryRemote({ now: () => now });
  const context = contextOf(wrap(memory), () => now, Math.random, 'test');
  const commit = async (id: string, work: Partial<CommitWork> = {}) => {
    const view = work.view ?? (await readLog(logOf(memory)));
    const created = await commitSnapshot(context, {
      draft: () => draftOf(id, view.head?.id ?? null, context.clock),
      createOnly: true,
      startedAt: view.serverTime,
      lastServerTime: undefined,
      ...work,
      view,
    });
    return confirmCommit(context, created);
  };
  return { memory, context, commit, sleep: (ms: number) => (now += ms) };
}

const idOf = (n: number): string => `2026-01-01T00-00-00.000Z-${String(n).padStart(8, '0')}`;

describe('commitSnapshot', () => {
  it('refuses a number that was used and freed while the host slept, and takes its object away', async () => {
    const { memory, commit, sleep, context } = world();
    await commit(idOf(1));
    const stale = await readLog(logOf(memory));
    for (let n = 2; n <= 6; n += 1) {
      sleep(2 * graceMs);
      await commit(idOf(n));
    }
    await context.remote.remove([commitKey(2)]);
    await expect(commit(idOf(99), { view: stale })).rejects.toMatchObject({ code: 'BUSY' });
    expect(await memory.head(commitKey(2))).toBeUndefined();
    expect((await readLog(logOf(memory))).head?.id).toBe(idOf(6));
  });

  it('gives up after half the grace period, before it commits', async () => {
    const { memory, commit, sleep } = world();
    const view = await readLog(logOf(memory));
    sleep(graceMs / 2 + 1);
    const lastServerTime = new Date(view.serverTime.getTime() + graceMs / 2 + 1);
    await expect(commit(idOf(1), { view, lastServerTime })).rejects.toMatchObject({ code: 'BUSY' });
    expect((await readLog(logOf(memory))).commits).toEqual([]);
  });

  it('without a grace period neither gives up nor leaves anything to others', async () => {
    const { memory, context, sleep } = world();
    const alone = { ...context, settings: { ...context.settings, graceMs: 0 } };
    await memory.put(attemptKey(idOf(9)), textBody(''));
    await memory.put(historyKey(idOf(9), 'f'), textBody('abandoned'));
    const view = await readLog(logOf(memory));
    const lastServerTime = new Date(view.serverTime.getTime() + 1e9);
    sleep(1);
    const { manifest, serverTime } = await commitSnapshot(alone, {
      draft: () => draftOf(idOf(1), null, context.clock),
      view,
      createOnly: true,
      startedAt: view.serverTime,
      lastServerTime,
    });
    sleep(1000);
    expect(await rotate(alone, { commit: manifest, committedAt: serverTime })).toEqual({ objects: 2 });
  });

  it('writes nothing that nobody could read', async () => {
    const { memory, commit, context } = world();
    const draft = { ...draftOf(idOf(1), null, context.clock), host: 'x'.repeat(1025) };
    await expect(commit(idOf(1), { draft: () => draft })).rejects.toMatchObject({
      code: 'INTERNAL',
      message: expect.stringMatching(/nobody could read its manifest: host /) as string,
    });
    expect((await readLog(logOf(memory))).commits).toEqual([]);
  });

  it.each([
    ['a path that leads out of the store', '../f1200', /files from 1000: .*"\.\.\/f1200"/],
    ['a path that comes twice', 'f0', /"f0" appears twice/],
    ['a path that is a directory as well', 'f0/x', /"f0" is a file and a directory/],
  ])('writes no manifest with %s, however far down', async (_, path, problem) => {
    const { memory, commit, context } = world();
    const named = (each: string) => ({
      path: each,
      size: 1,
      sha256: 'a'.repeat(64),
      mode: 0o644,
      mtimeMs: 0,
    });
    const files = Array.from({ length: 1500 }, (__, index) => named(index === 1200 ? path : `f${index}`));
    const draft = { ...draftOf(idOf(1), null, context.clock), files };
    await expect(commit(idOf(1), { draft: () => draft })).rejects.toMatchObject({
      code: 'INTERNAL',
      message: expect.stringMatching(problem) as string,
    });
    expect((await readLog(logOf(memory))).commits).toEqual([]);
  });

  it('takes the next number when another host was faster, and extends its log', async () => {
    const { memory, commit } = world();
    const view = await readLog(logOf(memory));
    await commit(idOf(1));
    const { manifest } = await commit(idOf(2), { view });
    expect(manifest).toMatchObject({ generation: 2, log: [{ id: idOf(1), generation: 1 }] });
  });

  it('knows its own commit when the answer was lost', async () => {
    let isLost = false;
    const { commit } = world((store) => ({
      ...passThrough(store),
      put: async (key, body, options) => {
        const result = await store.put(key, body, options);
        if (!isLost && key.startsWith('commits/')) {
          isLost = true;
          throw new SyncAgentError('REMOTE_UNREACHABLE', 'Cannot put: the connection was reset');
        }
        return result;
      },
    }));
    expect((await commit(idOf(1))).manifest.generation).toBe(1);
    expect(isLost).toBe(true);
  });

  it('knows its own commit when a retry of it found the number taken', async () => {
    const { commit } = world((store) => ({
      ...passThrough(store),
      put: async (key, body, options) => {
        await store.put(key, body, options);
        return store.put(key, body, options);
      },
    }));
    expect((await commit(idOf(1))).manifest.generation).toBe(1);
  });
});

describe('createCommit', () => {
  it('never takes what another host wrote for its own', async () => {
    const { memory, context } = world();
    const own = { ...draftOf(idOf(1), null, context.clock), generation: 1, log: [], resolved: [] };
    const other = { ...own, uploadId: 'f'.repeat(32) };
    await createCommit(logOf(memory), other, { createOnly: true });
    expect(await createCommit(logOf(memory), own, { createOnly: true })).toBeUndefined();
  });
});

describe('readLog', () => {
  it('lists again when the newest commit was rotated away between listing and reading', async () => {
    const { memory, commit, context } = world();
    await commit(idOf(1));
    let wasSwapped = false;
    const racing: Remote = {
      ...passThrough(memory),
      get: async (key, options) => {
        if (!wasSwapped) {
          wasSwapped = true;
          await commit(idOf(2));
          await context.remote.remove([commitKey(1)]);
        }
        return memory.get(key, options);
      },
    };
    expect((await readLog(logOf(racing))).head?.id).toBe(idOf(2));
  });

  it('passes over a damaged newest commit and reports it', async () => {
    const { memory, commit } = world();
    await commit(idOf(1));
    await commit(idOf(2));
    await memory.put(commitKey(2), textBody('{}'));
    const view = await readLog(logOf(memory));
    expect(view.head?.id).toBe(idOf(1));
    expect(view.damaged).toMatchObject([{ key: commitKey(2) }]);
  });
});

describe('probeCreateOnly', () => {
  it('tells stores apart that enforce, ignore and reject create-only writes', async () => {
    const { memory } = world();
    const ignoring: Remote = {
      ...passThrough(memory),
      put: (key, body, options) => memory.put(key, body, { ...options, ifAbsent: false }),
    };
    const rejecting: Remote = {
      ...passThrough(memory),
      put: async () => {
        throw new SyncAgentError('UNSUPPORTED', 'Cannot put: not implemented');
      },
    };
    expect(await probeCreateOnly(memory, idOf(1), { graceMs })).toBe('enforced');
    expect(await probeCreateOnly(ignoring, idOf(2), { graceMs })).toBe('ignored');
    expect(await probeCreateOnly(rejecting, idOf(3), { graceMs })).toBe('rejected');
    expect(await memory.head(probeKey(idOf(1)))).toBeUndefined();
  });

  it.each([
    ['DENIED', 'enforced'],
    ['REMOTE_UNREACHABLE', 'enforced'],
    ['INTERRUPTED', 'INTERRUPTED'],
  ] as const)('leaves behind what cannot be removed: %s', async (code, outcome) => {
    const { memory } = world();
    const keeping: Remote = {
      ...passThrough(memory),
      remove: async () => {
        throw new SyncAgentError(code, 'Cannot remove');
      },
    };
    const support = probeCreateOnly(keeping, idOf(1), { graceMs });
    expect(await support.catch((error: SyncAgentError) => error.code)).toBe(outcome);
  });

  it.each([0, 1000])(
    'comes to an end on a store that ignores them, with a grace period of %i ms',
    async (short) => {
      const { memory, sleep } = world();
      let puts = 0;
      const slow: Remote = {
        ...passThrough(memory),
        put: async (key, body, options) => {
          puts += 1;
          if (puts > 20) throw new Error('no end');
          sleep(600);
          return memory.put(key, body, { ...options, ifAbsent: false });
        },
      };
      expect(await probeCreateOnly(slow, idOf(1), { graceMs: short })).toBe('ignored');
    },
  );

  it('is not misled when the host sleeps in it until a rotation has swept its object', async () => {
    const { memory, sleep } = world();
    let puts = 0;
    const sleepy: Remote = {
      ...passThrough(memory),
      put: async (key, body, options) => {
        puts += 1;
        if (puts === 2) {
          sleep(2 * graceMs);
          await memory.remove([key]);
        }
        return memory.put(key, body, options);
      },
    };
    expect(await probeCreateOnly(sleepy, idOf(1), { graceMs })).toBe('enforced');
    expect(puts).toBe(3);
  });
});

describe('rotate', () => {
  it('deletes nothing after a commit that came too late to be named', async () => {
    const { memory, commit, context, sleep } = world();
    await commit(idOf(1));
    const late = (await readLog(logOf(memory))).head;
    if (late === undefined) throw new Error('unreachable');
    for (let n = 2; n <= 6; n += 1) {
      sleep(2 * graceMs);
      await commit(idOf(n));
    }
    await memory.put(historyKey(idOf(9), 'f'), textBody('in progress'));
    sleep(2 * graceMs);
    const view = await readLog(logOf(memory));
    expect(view.snapshots.map(({ entry }) => entry.id)).not.toContain(idOf(1));
    const rotated = await rotate(context, { commit: late, committedAt: view.serverTime });
    expect(rotated).toEqual({ objects: 0 });
    expect(await memory.head(historyKey(idOf(9), 'f'))).toBeDefined();
  });

  it.each([
    ['warns where it may not sweep unfinished uploads', 'DENIED', false, { objects: 2 }],
    ['warns where the server will not', 'REMOTE_UNREACHABLE', false, { objects: 2 }],
    ['fails where it cannot reach them', 'REMOTE_UNREACHABLE', true, 'REMOTE_UNREACHABLE'],
  ] as const)('%s, and has done the rest', async (_, code, retryable, outcome) => {
    const { memory, context, commit, sleep } = world((store) => ({
      ...passThrough(store),
      sweepUploads: async () => {
        throw new SyncAgentError(code, 'Cannot sweep unfinished uploads', { retryable });
      },
    }));
    const events: AgentEvent[] = [];
    const heard = { ...context, emit: (event: AgentEvent) => void events.push(event) };
    await memory.put(attemptKey(idOf(9)), textBody(''));
    await memory.put(historyKey(idOf(9), 'f'), textBody('abandoned'));
    sleep(2 * graceMs);
    const { manifest, serverTime } = await commit(idOf(1));
    const rotated = rotate(heard, { commit: manifest, committedAt: serverTime });
    expect(await rotated.catch((error: SyncAgentError) => error.code)).toEqual(outcome);
    const told = events.filter(({ type }) => type !== 'phase');
    expect(told).toHaveLength(retryable ? 1 : 2);
    expect(told).toContainEqual({ type: 'rotated', snapshots: [idOf(9)], objects: 2 });
    if (!retryable) expect(told).toContainEqual(expect.objectContaining({ type: 'warning', code }));
  });
});
