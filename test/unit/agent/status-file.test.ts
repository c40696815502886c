import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/platform/clock.ts';
import { createClaim } from '../../../src/agent/claim.ts';
import { readRunningAgent, statusFileWriter } from '../../../src/agent/status-file.ts';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';
import { agentStatusPath, locateHome } from '../../../src/home/home.ts';
import type { Home } from '../../../src/home/home.ts';
import { isAgentRunning, lockAgent } from '../../../src/home/lock.ts';
import { savedStatus } from '../../support/sample-status.ts';

let root: string;
let home: Home;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'sync-agent-status-'));
  await mkdir(join(root, 'store'));
  home = await locateHome(join(root, 'store'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

describe('the status that a running agent leaves for others', () => {
  it('is read while that agent runs, and not when it is gone', async () => {
    const lock = await lockAgent(nodeFileSystem, home, { command: 'watch' });
    expect(await readRunningAgent(home, systemClock)).toBeUndefined();
    const writer = statusFileWriter(nodeFileSystem, home, { clock: systemClock, status: () => savedStatus });
    writer.changed();
    await writer.close();
    const status = await readRunningAgent(home, systemClock);
    expect(status).toMatchObject({ pid: savedStatus.pid, intervalMs: savedStatus.intervalMs });
    expect(status).not.toHaveProperty('recentEvents');
    // Asking does not take the lock away.
    expect(await isAgentRunning(home)).toBe(true);
    await expect(lockAgent(nodeFileSystem, home, { command: 'run' })).rejects.toMatchObject({ code: 'BUSY' });
    lock.release();
    expect(await readRunningAgent(home, systemClock)).toBeUndefined();
  });

  it('is not that of an earlier agent, which was killed: another host may have its lease', async () => {
    await mkdir(home.dir);
    await writeFile(agentStatusPath(home), JSON.stringify(savedStatus));
    const statusFile = statusFileWriter(nodeFileSystem, home, {
      clock: systemClock,
      status: () => ({ ...savedStatus, pid: savedStatus.pid + 1 }),
    });
    const claim = createClaim({ fs: nodeFileSystem, home, command: 'watch', statusFile });
    await claim.take();
    expect(await readRunningAgent(home, systemClock)).toBeUndefined();
    await claim.release();
  });

  it('says that the agent is overdue, also when it became so without a word', async () => {
    const lock = await lockAgent(nodeFileSystem, home, { command: 'watch' });
    const dirtySinceMs = Date.UTC(2026, 10, 21);
    const status = { ...savedStatus, intervalMs: 3_600_000, failures: 0, dirtySinceMs, isOverdue: false };
    const writer = statusFileWriter(nodeFileSystem, home, { clock: systemClock, status: () => status });
    await writer.close();
    const readAt = (nowMs: number) => readRunningAgent(home, { now: () => nowMs });
    expect(await readAt(dirtySinceMs + 3_600_000)).toMatchObject({ isOverdue: false });
    expect(await readAt(dirtySinceMs + 2 * 3_600_000)).toMatchObject({ isOverdue: true });
    lock.release();
  });

  it('is passed over when it is damaged', async () => {
    const lock = await lockAgent(nodeFileSystem, home, { command: 'watch' });
    for (const text of ['', '{', 'null', '[]', '{"pid":"1"}']) {
      await writeFile(agentStatusPath(home), text);
      expect(await readRunningAgent(home, systemClock), text).toBeUndefined();
    }
    lock.release();
  });

  it('is not looked for, nor anything made, where no agent ever ran', async () => {
    expect(await readRunningAgent(home, systemClock)).toBeUndefined();
    expect(await readdir(root)).toEqual(['store']);
  });
});
