import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import { nodeFileSystem } from '../../../src/store/file-system.ts';
import { locateHome } from '../../../src/store/home.ts';
import { lockStore } from '../../../src/store/lock.ts';
import type { Lock } from '../../../src/store/lock.ts';

let root = '';
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'sync-agent-lock-'));
});
afterEach(() => rm(root, { recursive: true }));

async function lock(
  command: string,
  { waitMs = 0, signal, sleep }: { waitMs?: number; signal?: AbortSignal; sleep?: () => Promise<void> } = {},
): Promise<Lock> {
  const clock = sleep === undefined ? systemClock : { ...systemClock, sleep };
  return lockStore(nodeFileSystem, await locateHome(join(root, 'store')), { command, waitMs, clock, signal });
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
  });

  it('is not waited for longer than that, nor when interrupted', async () => {
    const held = await lock('backup');
    await expect(lock('watch', { waitMs: 20 })).rejects.toMatchObject({ code: 'BUSY' });
    const signal = AbortSignal.abort(new Error('Ctrl-C'));
    await expect(lock('watch', { waitMs: 600_000, signal })).rejects.toMatchObject({ code: 'INTERRUPTED' });
    held.release();
  });
});
