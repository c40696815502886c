import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';
import type { FileSystem } from '../../../src/platform/file-system.ts';
import { textBody } from '../../../src/remotes/body.ts';
import { createDirectoryRemote } from '../../../src/remotes/directory/directory-remote.ts';
import { fastTmp } from '../../support/host.ts';
import {
  SeenDirectories,
  createDirectoryDisk,
  createSharedSync,
} from '../../../src/remotes/directory/directory-disk.ts';
import { DurableLater } from '../../../src/remotes/durable-later.ts';

function slowDisk() {
  const begun: { readonly path: string; end(): void; fail(error: Error): void }[] = [];
  const sync = createSharedSync({
    sync: (path) => new Promise((resolve, reject) => void begun.push({ path, end: resolve, fail: reject })),
  });
  return { begun, sync };
}

const nextTurn = async (): Promise<void> => {
  for (let count = 0; count < 5; count += 1) await turn();
};

describe('a shared sync', () => {
  it('is one for all who ask before it begins', async () => {
    const { begun, sync } = slowDisk();
    const all = Promise.all([sync('a'), sync('a'), sync('b'), sync('a')]);
    await nextTurn();
    expect(begun.map(({ path }) => path)).toEqual(['a', 'b']);
    for (const { end } of begun) end();
    await all;
  });

  it('is not that of one who wrote after it began', async () => {
    const { begun, sync } = slowDisk();
    const early = sync('a');
    await nextTurn();
    let isLateDone = false;
    const late = Promise.all([sync('a'), sync('a')]).then(() => (isLateDone = true));
    await nextTurn();
    expect(begun).toHaveLength(1);
    begun[0]?.end();
    await early;
    await nextTurn();
    expect(isLateDone).toBe(false);
    expect(begun).toHaveLength(2);
    begun[1]?.end();
    await late;
  });

  it('fails for those who shared it, and for nobody else', async () => {
    const { begun, sync } = slowDisk();
    const early = [sync('a'), sync('a')].map((each) => each.catch((error: Error) => error.message));
    await nextTurn();
    const late = sync('a');
    begun[0]?.fail(new Error('the disk is broken'));
    expect(await Promise.all(early)).toEqual(['the disk is broken', 'the disk is broken']);
    await nextTurn();
    begun[1]?.end();
    await late;
  });
});

describe('a directory that many need at once', () => {
  it('is made and synced once, and all wait until it is durable', async () => {
    const steps: string[] = [];
    let finish = (): void => undefined;
    const disk = createDirectoryDisk({
      ...nodeFileSystem,
      makeDirectory: async (path) => void steps.push(`make ${path}`),
      sync: (path) => {
        steps.push(`sync ${path}`);
        return new Promise((resolve) => (finish = resolve));
      },
    });
    let done = 0;
    const all = [disk.addDirectory('/a/b'), disk.addDirectory('/a/b'), disk.added('/a/b')].map(
      async (each) => {
        await each;
        done += 1;
      },
    );
    await nextTurn();
    expect(steps).toEqual(['make /a/b', 'sync /a']);
    expect(done).toBe(0);
    finish();
    await Promise.all(all);
    expect(disk.added('/a/b')).toBeUndefined();
  });

  it('is tried again after a failure', async () => {
    let tries = 0;
    const disk = createDirectoryDisk({
      ...nodeFileSystem,
      makeDirectory: async () => {
        tries += 1;
        if (tries === 1) throw new Error('the disk is full');
      },
      sync: async () => undefined,
    });
    await expect(disk.addDirectory('/a')).rejects.toThrow('the disk is full');
    await disk.addDirectory('/a');
    expect(tries).toBe(2);
  });

  it('has been synced when a second put into it resolves', async () => {
    const dir = await mkdtemp(join(fastTmp, 'sync-agent-disk-'));
    try {
      const ends: (() => void)[] = [];
      const fs: FileSystem = {
        ...nodeFileSystem,
        // The entry of the new directory is slow to become durable.
        sync: (path) =>
          path === join(dir, 'a') ? new Promise((resolve) => ends.push(resolve)) : nodeFileSystem.sync(path),
      };
      await createDirectoryRemote({ path: dir }).put('a/old', textBody('x'));
      const remote = createDirectoryRemote({ path: dir, fs });
      const first = remote.put('a/b/1', textBody('x'));
      await until(() => ends.length > 0);
      let isDone = false;
      const second = remote.put('a/b/2', textBody('x')).then(() => (isDone = true));
      await new Promise((resolve) => void setTimeout(resolve, 100));
      expect(isDone).toBe(false);
      for (const end of ends) end();
      await Promise.all([first, second]);
    } finally {
      await rm(dir, { recursive: true });
    }
  });
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => void setTimeout(resolve, 5));
}

describe('directories that were seen', () => {
  it('are looked at again after a second, or when something is not as it was', () => {
    let nowMs = 0;
    const seen = new SeenDirectories(() => nowMs);
    seen.add('/a');
    nowMs = 999;
    expect(seen.has('/a')).toBe(true);
    nowMs = 1000;
    expect(seen.has('/a')).toBe(false);
    seen.add('/a');
    seen.forget();
    expect(seen.has('/a')).toBe(false);
  });
});

describe('objects that are durable later', () => {
  it('may be gone when they are synced; another failure is one', async () => {
    const root = await mkdtemp(join(fastTmp, 'sync-agent-later-'));
    let failure: string | undefined;
    const fs: FileSystem = {
      ...nodeFileSystem,
      syncAll: async () => false,
      sync: (path) =>
        failure === undefined || !path.endsWith('/b')
          ? nodeFileSystem.sync(path)
          : Promise.reject(Object.assign(new Error(failure), { code: failure })),
    };
    try {
      const remote = createDirectoryRemote({ path: root, fs });
      const durableLater = new DurableLater();
      for (const key of ['a', 'b']) await remote.put(key, textBody(key), { durableLater });
      await remote.remove(['a']);
      await durableLater.flush();
      await remote.put('b', textBody('again'), { durableLater });
      failure = 'EIO';
      await expect(durableLater.flush()).rejects.toMatchObject({
        code: 'REMOTE_UNREACHABLE',
        message: `Cannot make "${join(root, 'b')}" durable: EIO`,
      });
    } finally {
      await rm(root, { recursive: true });
    }
  });
});
