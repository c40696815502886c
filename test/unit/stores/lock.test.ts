import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/platform/clock.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';
import { locateHome } from '../../../src/home/home.ts';
import { lockStore } from '../../../src/home/lock.ts';
import type { Lock } from '../../../src/home/lock.ts';
import { makeHost } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';

let root = '';
let waits: string[] = [];
beforeEach(async () => {
  waits = [];
  root = await mkdtemp(join(tmpdir(), 'sync-agent-lock-'));
});
afterEach(() => rm(root, { recursive: true }));

async function lock(
  command: string,
  { waitMs = 0, signal, sleep }: { waitMs?: number; signal?: AbortSignal; sleep?: () => Promise<void> } = {},
  store = join(root, 'store'),
): Promise<Lock> {
  const clock = sleep === undefined ? systemClock : { ...systemClock, sleep };
  return lockStore(nodeFileSystem, await locateHome(store), {
    command,
    waitMs,
    onWait: (why) => waits.push(why),
    clock,
    signal,
  });
}

describe('the lock of a store', () => {
  it('is refused at once while somebody has it, who is named', async () => {
    const held = await lock('backup');
    await expect(lock('restore')).rejects.toMatchObject({
      code: 'BUSY',
      message: expect.stringContaining(`sync-agent backup (pid ${process.pid} on `) as string,
    });
    held.release();
    (await lock('restore')).release();
  });

  it('is waited for, where asked to', async () => {
    const held = await lock('backup');
    let pauses = 0;
    const sleep = async (): Promise<void> => {
      if ((pauses += 1) === 3) held.release();
    };
    (await lock('watch', { waitMs: 600_000, sleep })).release();
    expect(pauses).toBe(3);
    expect(waits).toEqual([expect.stringContaining('sync-agent backup (pid ')]);
  });

  it('is not waited for longer than that, nor when interrupted', async () => {
    const held = await lock('backup');
    await expect(lock('watch', { waitMs: 20 })).rejects.toMatchObject({ code: 'BUSY' });
    const signal = AbortSignal.abort(new Error('Ctrl-C'));
    await expect(lock('watch', { waitMs: 600_000, signal })).rejects.toMatchObject({
      code: 'INTERRUPTED',
      message: expect.stringContaining('sync-agent backup (pid ') as string,
    });
    held.release();
  });

  it('is waited for by an agent as long as its settings say', async () => {
    const held: Lock[] = [];
    const sleep = async (): Promise<void> => held.pop()?.release();
    const clock = { ...systemClock, sleep };
    const remote = createMemoryRemote({ now: Date.now });
    const [hasty, patient] = [
      await makeHost({ remote, clock, root: await mkdtemp(join(root, 'hasty-')) }),
      await makeHost({
        remote,
        clock,
        root: await mkdtemp(join(root, 'patient-')),
        settings: { lockWaitMs: 60_000 },
      }),
    ];
    for (const host of [hasty, patient]) await host.write({ a: host.root });
    const backup = async (host: Host) => {
      held.push(await lock('restore', {}, host.store));
      return host.agent.backup().finally(() => held.pop()?.release());
    };
    await expect(backup(hasty)).rejects.toMatchObject({ code: 'BUSY' });
    await expect(backup(patient)).resolves.toMatchObject({ type: 'committed' });
    const warnings = patient.events.filter((event) => event.type === 'warning');
    expect(warnings).toMatchObject([
      { code: 'NOTICE', message: expect.stringContaining('sync-agent restore (pid ') as string },
    ]);
  });
});
