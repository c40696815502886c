import type * as FileSystemPromises from 'node:fs/promises';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { realpathSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../../src/platform/clock.ts';
import { notifyAgent } from '../../../src/agent/notifications.ts';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';
import type { FileSystem } from '../../../src/platform/file-system.ts';
import { agentLockPath, locateHome, lockPath, storeExists } from '../../../src/home/home.ts';
import { isAgentRunning, lockAgent, lockStore } from '../../../src/home/lock.ts';

/** No mode keeps root out. */
vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof FileSystemPromises>();
  const realpath = (path: string): Promise<string> =>
    path.includes('/closed/')
      ? Promise.reject(Object.assign(new Error('EACCES: permission denied'), { code: 'EACCES' }))
      : real.realpath(path);
  return { ...real, realpath };
});

let root = '';
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'sync-agent-home-'));
});
afterEach(() => rm(root, { recursive: true }));

const failing = (code: string) => () =>
  Promise.reject(Object.assign(new Error(`${code}: it failed`), { code }));
/** A file that nobody can open for writing, whoever asks. */
const block = (path: string) => mkdir(path, { recursive: true });
const quoting = (path: string): string => expect.stringContaining(`"${path}"`) as string;

describe('a store that cannot be', () => {
  it.each([
    ['below a file', 'file/store'],
    ['behind links that lead to themselves', 'loop/store'],
    ['of a name that no disk can hold', 'x'.repeat(300)],
  ])('%s is a USAGE error that names it', async (_, name) => {
    await writeFile(join(root, 'file'), '');
    await symlink('loop', join(root, 'loop'));
    const path = join(root, name);
    await expect(locateHome(path)).rejects.toMatchObject({ code: 'USAGE', message: quoting(path) });
  });

  it('reached through a closed directory is DENIED', async () => {
    const path = join(root, 'closed/store');
    await expect(locateHome(path)).rejects.toMatchObject({ code: 'DENIED', message: quoting(path) });
  });
});

describe('a store that is a link', () => {
  it.each([
    ['to a directory that vanished', ['disk/chroma'], 'disk/chroma'],
    ['relative to where the link is', ['../disk/chroma'], undefined],
    ['over several links', ['second', 'disk/gone/chroma'], 'disk/gone/chroma'],
  ] as const)('%s is where the link leads', async (_, targets, expected) => {
    await mkdir(join(root, 'app'));
    const names = ['app/first', 'app/second'];
    for (const [index, target] of targets.entries()) {
      const isRelative = target.startsWith('..') || !target.includes('/');
      await symlink(isRelative ? target : join(root, target), join(root, names[index] ?? ''));
    }
    const { store, dir } = await locateHome(join(root, 'app/first'));
    expect(store).toBe(join(realpathSync(root), expected ?? 'disk/chroma'));
    expect(dir).toBe(join(store, '..', '.chroma.sync-agent'));
  });
});

describe('a home that this user may not write', () => {
  it.each(['EACCES', 'EROFS'])('is DENIED to a notification: %s', async (code) => {
    const home = await locateHome(join(root, 'store'));
    for (const broken of ['makeDirectory', 'openForWrite', 'setAttributes'] as const) {
      const fs: FileSystem = { ...nodeFileSystem, [broken]: failing(code) };
      await expect(notifyAgent(fs, home, 0)).rejects.toMatchObject({
        code: 'DENIED',
        message: quoting(join(home.dir, 'notify')),
      });
    }
  });

  it('is DENIED to an agent and an operation: their locks cannot be opened', async () => {
    const home = await locateHome(join(root, 'store'));
    await block(agentLockPath(home));
    await block(lockPath(home));
    const clock = systemClock;
    const options = { command: 'backup', waitMs: 0, onWait: () => undefined, clock, signal: undefined };
    await expect(lockStore(nodeFileSystem, home, options)).rejects.toMatchObject({
      code: 'DENIED',
      message: quoting(lockPath(home)),
    });
    await expect(lockAgent(nodeFileSystem, home, { command: 'watch' })).rejects.toMatchObject({
      code: 'DENIED',
      message: quoting(agentLockPath(home)),
    });
    await rm(agentLockPath(home), { recursive: true });
    await symlink('nowhere/lock', agentLockPath(home));
    await expect(isAgentRunning(home)).rejects.toMatchObject({
      code: 'DENIED',
      message: quoting(agentLockPath(home)),
    });
  });
});

it('a store that became a file is told with its path', async () => {
  const home = await locateHome(join(root, 'store'));
  await writeFile(home.store, '');
  await expect(storeExists(home)).rejects.toMatchObject({
    name: 'SyncAgentError',
    message: quoting(home.store),
  });
});
