import { readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { transform } from 'esbuild';
import { compileFunction } from 'node:vm';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ProtectOptions, ProtectedWork } from '../../../src/api/protecting.ts';
import { createProtector } from '../../../src/library/protecting/create-protector.ts';
import type { ProtectingCalls } from '../../../src/library/protecting/guard.ts';
import { SyncAgentError } from '../../../src/platform/errors.ts';
import type { AgentEvent } from '../../../src/platform/events.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import type { StoreUser } from '../../../src/stores/capture/in-use.ts';
import { protectedOperation } from '../../../src/library/protecting/protected-operation.ts';
import { readDocument } from '../../support/documents.ts';
import { notingAgent } from '../../support/noting-agent.ts';
import { unpackFixture } from '../../support/fixtures.ts';
import { makeHost, shiftableClock } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';

const hourMs = 3_600_000;
let clock: ReturnType<typeof shiftableClock>;
let remote: Remote;
let host: Host;
let events: AgentEvent[];
let users: StoreUser[];
beforeEach(async () => {
  clock = shiftableClock();
  remote = createMemoryRemote({ now: () => clock.now() });
  events = [];
  users = [];
  host = await makeHost({ remote, clock, ports: { findStoreUsers: async () => users } });
});
afterEach(() => host.remove());

function protect<T>(
  name: string,
  work: ProtectedWork<T>,
  options: ProtectOptions = {},
  calls: Partial<ProtectingCalls> = {},
): Promise<T> {
  const protector = createProtector(
    { store: host.store, remote: 'file:///unused' },
    { calls: { ...host.agent, ...calls }, clock, emit: (event) => events.push(event), intervalMs: hourMs },
  );
  return protector(name, work, options);
}

const list = async () => (await host.agent.list()).map(({ id, pin }) => ({ id, reason: pin?.reason }));
const log = async () => host.agent.operationLog();
const protects = async () => (await log()).filter(({ operation }) => operation === 'protect');
const warnings = () => events.flatMap((event) => (event.type === 'warning' ? [event.message] : []));

async function damage(): Promise<void> {
  const names = await readdir(host.store, { recursive: true });
  const header = join(host.store, names.find((path) => path.endsWith('header.bin')) ?? '');
  await writeFile(header, (await readFile(header)).fill(0xab, 0, 40));
}

describe('a risky operation', () => {
  it('has a pinned snapshot from before it, and is in the log', async () => {
    await host.write({ a: 'one' });
    const result = await protect(
      'recreate',
      async ({ snapshot }) => {
        expect(await list()).toEqual([{ id: snapshot, reason: 'before "recreate"' }]);
        expect(await protects()).toMatchObject([{ state: 'running', name: 'recreate' }]);
        await host.write({ a: 'two' });
        return snapshot;
      },
      { risk: 'risky' },
    );
    const { until } = (await host.agent.list())[0]?.pin ?? {};
    const days = (Date.parse(until ?? '') - clock.now()) / (24 * hourMs);
    expect(days).toBeGreaterThan(6.9);
    expect(days).toBeLessThanOrEqual(7);
    const [outer, inner] = await log();
    expect(outer).toMatchObject({
      operation: 'protect',
      name: 'recreate',
      state: 'done',
      snapshot: result,
      isSound: true,
      before: null,
      after: result,
    });
    expect(inner).toMatchObject({ operation: 'backup', within: outer?.id });
  });

  it('pins the snapshot that the store equals already, and keeps a pin that a person made', async () => {
    await host.write({ a: 'one' });
    await host.agent.backup();
    await protect('first', async () => undefined, { risk: 'risky', pinForMs: hourMs });
    expect(await list()).toEqual([{ id: expect.any(String) as string, reason: 'before "first"' }]);
    await host.agent.pin('latest', { reason: 'mine' });
    await protect('second', async () => undefined, { risk: 'risky' });
    expect((await list()).map(({ reason }) => reason)).toEqual(['mine']);
  });

  it('does not begin if the snapshot cannot be made', async () => {
    await host.write({ a: 'one' });
    const refuse = async () => {
      throw new SyncAgentError('DENIED', 'no such key', { remedy: 'Get one' });
    };
    let hasBegun = false;
    const done = protect('recreate', () => void (hasBegun = true), { risk: 'risky' }, { backup: refuse });
    await expect(done).rejects.toMatchObject({
      code: 'DENIED',
      message: 'Cannot begin "recreate": its snapshot could not be made: no such key',
      remedy: 'Get one',
    });
    expect(hasBegun).toBe(false);
    expect(await protects()).toMatchObject([{ state: 'failed', error: { code: 'DENIED' } }]);
    await rm(host.store, { recursive: true });
    await expect(protect('recreate', () => void (hasBegun = true))).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    expect(hasBegun).toBe(false);
  });
});

describe('ordinary work', () => {
  it('has a snapshot only if the newest is older than the interval, and none is pinned for it that was there', async () => {
    await host.write({ a: 'one' });
    const first = await protect('write', ({ snapshot }) => snapshot);
    await host.write({ a: 'two' });
    expect(await protect('write', ({ snapshot }) => snapshot)).toBe(first);
    clock.forward(hourMs);
    const second = await protect('write', ({ snapshot }) => snapshot);
    expect(second).not.toBe(first);
    expect((await list()).map(({ id }) => id)).toEqual([first, second]);
  });

  it('with a forced backup has one of its own even if nothing changed', async () => {
    await host.write({ a: 'one' });
    const first = await protect('write', ({ snapshot }) => snapshot);
    const second = await protect('write', ({ snapshot }) => snapshot, { forceBackup: true });
    expect(second).not.toBe(first);
  });

  it('that only reads costs nothing', async () => {
    await host.write({ a: 'one' });
    const never = async () => {
      throw new Error('called');
    };
    const calls = { backup: never, pin: never, localStatus: never, check: never, operationLog: never };
    expect(await protect('read', ({ snapshot }) => snapshot, { risk: 'read' }, calls)).toBeNull();
    expect(await readdir(host.root)).toEqual(['store']);
  });

  it.each(['', '  ', 'x'.repeat(101), 'a\nb', 'a\u0000'])('has no such name: %j', async (name) => {
    await expect(protect(name, () => undefined)).rejects.toMatchObject({ code: 'USAGE' });
  });
});

describe('after the work', () => {
  it('a store that was not written is not read', async () => {
    await host.write({ a: 'one' });
    const check = async () => {
      throw new Error('called');
    };
    expect(await protect('nothing', () => 7, { risk: 'risky' }, { check })).toBe(7);
    expect(warnings()).toEqual([]);
  });

  it('a check that cannot be made is told, and takes nothing from the result', async () => {
    await host.write({ a: 'one' });
    let tries = 0;
    const check = async () => {
      tries += 1;
      throw new SyncAgentError('BUSY', 'somebody writes');
    };
    const done = protect('busy', () => host.write({ a: 'two' }), { risk: 'risky' }, { check });
    await done;
    expect(tries).toBe(3);
    expect(warnings()).toEqual(['The store could not be checked after "busy": somebody writes']);
    expect((await protects())[0]).not.toHaveProperty('isSound');
  });

  it('damage is an error that names the snapshot, and the store is kept', async () => {
    unpackFixture('chroma-1-a', host.store);
    let before: string | null = null;
    const work: ProtectedWork<void> = async ({ snapshot }) => {
      before = snapshot;
      await damage();
    };
    await expect(protect('recreate', work, { risk: 'risky' })).rejects.toMatchObject({
      code: 'STORE_CORRUPT',
      message: expect.stringMatching(/^The store was damaged during "recreate": .*header\.bin/) as string,
      remedy: expect.stringContaining(`restore --snapshot ${before ?? ''}`) as string,
    });
    expect((await host.agent.check()).damage).not.toEqual([]);
    expect(await protects()).toMatchObject([
      { state: 'failed', isSound: false, error: { code: 'STORE_CORRUPT' } },
    ]);
    expect(JSON.stringify(host.events)).toContain(
      'may have appeared during \\"recreate\\" (protect), which failed',
    );
  });

  it('damage is undone where that was asked for, and the damaged store is kept aside', async () => {
    unpackFixture('chroma-1-a', host.store);
    const done = protect('recreate', damage, { onFailure: 'restore' });
    await expect(done).rejects.toMatchObject({
      code: 'STORE_CORRUPT',
      remedy: expect.stringMatching(
        /^Snapshot .* was restored; the damaged store is a rollback copy/,
      ) as string,
    });
    expect((await host.agent.check()).damage).toEqual([]);
    const [copy] = await host.agent.rollbackCopies();
    expect(await protects()).toMatchObject([{ isSound: true, rollbackCopy: copy?.name }]);
  });

  it('a store that is gone is a failure', async () => {
    await host.write({ a: 'one' });
    const done = protect('clear', () => rm(host.store, { recursive: true }), { onFailure: 'restore' });
    await expect(done).rejects.toMatchObject({
      code: 'STORE_CORRUPT',
      message: expect.stringContaining('it is gone') as string,
    });
    expect(await host.read()).toEqual({ a: 'one' });
  });
});

describe('work that fails', () => {
  const failing = async (): Promise<never> => {
    await host.write({ a: 'half' });
    throw new TypeError('mine');
  };

  it('rejects with its own error, and what it wrote stays', async () => {
    await host.write({ a: 'one' });
    await expect(protect('recreate', failing, { risk: 'risky' })).rejects.toThrow(new TypeError('mine'));
    expect(await host.read()).toEqual({ a: 'half' });
    expect(await protects()).toMatchObject([
      { state: 'failed', isSound: true, error: { code: 'FAILED', message: 'mine' } },
    ]);
  });

  it('is undone where that was asked for, up to the last write before it', async () => {
    await host.write({ a: 'zero' });
    await host.agent.backup();
    await host.write({ a: 'one' });
    await expect(protect('recreate', failing, { onFailure: 'restore' })).rejects.toThrow(
      new TypeError('mine'),
    );
    expect(await host.read()).toEqual({ a: 'one' });
  });

  it('is not undone under a process that has the store open: BUSY, and nothing is done', async () => {
    await host.write({ a: 'one' });
    const work = async () => {
      users = [{ pid: 4711, command: 'server', mayWrite: true, path: 'a' } as unknown as StoreUser];
      await failing();
    };
    await expect(protect('recreate', work, { onFailure: 'restore' })).rejects.toMatchObject({
      code: 'BUSY',
      message: expect.stringMatching(
        /^"recreate" failed \(mine\), and the store was not restored: .*4711/,
      ) as string,
      cause: new TypeError('mine'),
      remedy: expect.stringContaining('sync-agent restore --snapshot ') as string,
    });
    expect(await host.read()).toEqual({ a: 'half' });
    expect(await host.agent.rollbackCopies()).toEqual([]);
  });

  it('is not undone while another protected operation runs, except one around it', async () => {
    await host.write({ a: 'one' });
    let end = (): void => undefined;
    const other = protect('other', () => new Promise<void>((resolve) => (end = resolve)));
    while ((await protects()).length === 0 || (await list()).length === 0) await clock.sleep(5);
    await expect(protect('recreate', failing, { onFailure: 'restore' })).rejects.toMatchObject({
      code: 'BUSY',
      message: expect.stringContaining('"other" is running, too') as string,
    });
    end();
    await other;
    await host.write({ a: 'one' });
    const nested = protect('outer', () => protect('inner', failing, { onFailure: 'restore' }));
    await expect(nested).rejects.toThrow(new TypeError('mine'));
    expect(await host.read()).toEqual({ a: 'one' });
  });
});

describe('protected operations', () => {
  it('inside each other, and beside each other, have each the snapshot of its own beginning', async () => {
    await host.write({ a: '0' });
    const seen: (string | null)[] = [];
    await protect(
      'outer',
      async ({ snapshot, operations }) => {
        seen.push(snapshot);
        expect(operations).toHaveLength(1);
        await host.write({ a: '1' });
        await protect(
          'inner',
          async (inner) => {
            seen.push(inner.snapshot);
            expect(inner.operations).toEqual([operations[0], expect.any(String)]);
            await host.write({ a: '2' });
          },
          { risk: 'risky' },
        );
      },
      { risk: 'risky' },
    );
    expect(new Set(seen).size).toBe(2);
    expect((await list()).map(({ id }) => id)).toEqual(seen);
    const texts = await Promise.all(
      seen.map(async (id) => {
        const to = join(host.root, `look-${id}`);
        await host.agent.restoreTo(to, { snapshot: id ?? '' });
        return readFile(join(to, 'a'), 'utf8');
      }),
    );
    expect(texts).toEqual(['0', '1']);
    const [outer, inner] = await protects();
    expect(inner).toMatchObject({ name: 'inner', within: outer?.id });
  });
});

describe('the examples of docs/library.md', () => {
  it('work as printed', async () => {
    const blocks = [
      ...readDocument('docs/library.md').matchAll(
        /```(?:js|ts)\n([^`]*(?:@protectedOperation|agent\.protect)[^`]*)```/g,
      ),
    ];
    expect(blocks).toHaveLength(2);
    const agent = notingAgent();
    const names = ['agent', 'createSyncAgent', 'settings', 'protectedOperation', 'recreateCollection'];
    const values = [agent, () => agent, {}, protectedOperation, (made: unknown) => made];
    for (const [, block = ''] of blocks) {
      const { code } = await transform(
        `async function example() {${block}\nif (typeof recreate === 'function') return [await recreate(3), await new Index().recreate(['a'])];}`,
        { loader: 'ts', target: 'node20' },
      );
      const compile = compileFunction(`${code}\nreturn example;`, names) as (
        ...args: readonly unknown[]
      ) => () => Promise<unknown>;
      const compiled = compile(...values);
      expect(await compiled()).toEqual(block.includes('class') ? [3, 1] : undefined);
    }
    expect(agent.calls).toEqual([
      ['recreate', { onFailure: 'restore' }],
      ['recreate', {}],
      ['recreate', { risk: 'risky' }],
    ]);
  });
});
