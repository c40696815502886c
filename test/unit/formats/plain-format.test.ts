import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SyncAgentError, isSyncAgentError } from '../../../src/platform/errors.ts';
import { textBody } from '../../../src/remotes/body.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { readManifest } from '../../../src/log/read-manifest.ts';
import { makeHost } from '../../support/host.ts';
import type { Host, HostOptions } from '../../support/host.ts';
import { logOf } from '../../support/log-of.ts';
import { passThrough } from '../../support/race.ts';

let remote: Remote;
let hosts: Host[];

beforeEach(() => {
  remote = createMemoryRemote({ now: Date.now });
  hosts = [];
});

afterEach(async () => {
  for (const each of hosts) await each.remove();
});

async function host(options: Partial<HostOptions> = {}): Promise<Host> {
  const made = await makeHost({ remote, ...options });
  hosts.push(made);
  return made;
}

async function keys(prefix = ''): Promise<string[]> {
  const found: string[] = [];
  for await (const page of remote.list(prefix)) found.push(...page.objects.map((object) => object.key));
  return found;
}

async function committed(on: Host): Promise<string> {
  const result = await on.agent.backup();
  if (result.type !== 'committed') throw new Error(`expected a commit, got ${JSON.stringify(result)}`);
  return result.id;
}

describe('the plain format', () => {
  it('writes the documented layout', async () => {
    const a = await host();
    await a.write({ 'x.txt': 'one', 'sub/y.txt': 'two' });
    const id = await committed(a);
    expect(await keys()).toEqual([
      'commits/0000000001.json',
      'history/.commits/0000000001.json',
      `history/${id}/sub/y.txt`,
      `history/${id}/x.txt`,
      'manifest.json',
      'sub/y.txt',
      'x.txt',
    ]);
  });

  it('publishes the current files where the server denies what does not exist', async () => {
    const shy: Remote = {
      ...passThrough(remote),
      get: (key, options) =>
        remote.get(key, options).catch((error: unknown) => {
          throw isSyncAgentError(error, 'NOT_FOUND') ? new SyncAgentError('DENIED', error.message) : error;
        }),
    };
    const a = await host({ remote: shy });
    await a.write({ x: 'one' });
    const id = await committed(a);
    expect((await remote.head('x'))?.size).toBe(3);
    expect((await readManifest(logOf(remote), 'manifest.json', {})).id).toBe(id);
  });

  it('publishes the largest file first', async () => {
    const published: string[] = [];
    const a = await host({
      remote: {
        ...passThrough(remote),
        copy: async (from, to, options) => {
          published.push(to);
          await remote.copy(from, to, options);
        },
      },
      settings: { concurrency: 1 },
    });
    await a.write({ a: '1', b: '4444', c: '22' });
    await committed(a);
    expect(published).toEqual(['b', 'c', 'a']);
  });

  it.each([
    ['once where the server cannot', 'REMOTE_UNREACHABLE', 0, 1],
    ['each where one vanished', 'NOT_FOUND', 0, 4],
    ['each where the server can', 'REMOTE_UNREACHABLE', 1, 4],
  ] as const)('tries to copy unchanged files: %s', async (_, code, failsFrom, expected) => {
    let tried = 0;
    const failing: Remote = {
      ...passThrough(remote),
      copy: async (from, to, options) => {
        if (!to.startsWith('history/')) return;
        if ((tried += 1) > failsFrom) throw new SyncAgentError(code, 'Cannot copy');
        await remote.copy(from, to, options);
      },
    };
    const a = await host({ remote: failing, settings: { concurrency: 1 } });
    await a.write({ a: '1', b: '1', c: '1', d: '1', e: '1' });
    await committed(a);
    await a.write({ e: 'changed' });
    await committed(a);
    expect(tried).toBe(expected);
    await a.wipe();
    await a.agent.restore();
    expect(await a.read()).toEqual({ a: '1', b: '1', c: '1', d: '1', e: 'changed' });
  });

  it('removes files from the current ones that the store lost, and keeps them in history', async () => {
    const a = await host();
    await a.write({ x: '1', y: '1' });
    const first = await committed(a);
    await rm(join(a.store, 'x'));
    await committed(a);
    expect(await keys('x')).toEqual([]);
    expect(await keys(`history/${first}/`)).toHaveLength(2);
  });

  it('refers to the older directory with linked history, and copies a renamed file into its own', async () => {
    const a = await host({ settings: { history: 'linked' } });
    await a.write({ old: 'same bytes', twin: 'twins', 'z/twin': 'twins', x: '1' });
    const first = await committed(a);
    await rename(join(a.store, 'old'), join(a.store, 'new'));
    const second = await committed(a);
    expect(await keys(`history/${second}`)).toEqual([`history/${second}/new`]);
    const { files } = await a.agent.show(second);
    expect(files.map((file) => file.in)).toEqual([undefined, first, first, first]);
  });

  it('takes a large object for damaged that was cut where a range of its download begins', async () => {
    const a = await host();
    await a.write({ x: 'small' });
    const first = await committed(a);
    await a.write({ x: 'x'.repeat(20 * 1024 * 1024) });
    const second = await committed(a);
    for (const key of [`history/${second}/x`, 'x'])
      await remote.put(key, textBody('x'.repeat(16 * 1024 * 1024)));
    const b = await host({ settings: { concurrency: 1 } });
    expect(await b.agent.restore()).toMatchObject({
      id: first,
      skipped: [expect.stringContaining(`history/${second}/x": expected`)],
    });
  });
});
