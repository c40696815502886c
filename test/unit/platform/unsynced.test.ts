import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { reportsErrors, syncAll } from '../../../src/platform/disk/sync-all.ts';
import { Unsynced } from '../../../src/platform/disk/unsynced.ts';

/** A disk on which a sync fails from the n-th on, and that can sync all or not. */
function disk({ canSyncAll = true, failFrom = Infinity } = {}) {
  const synced: string[] = [];
  const sync = async (path: string): Promise<void> => {
    if (synced.length + 1 >= failFrom) throw new Error(`${path} cannot be written`);
    synced.push(path);
  };
  return {
    synced,
    sync,
    syncAll: async (path: string): Promise<boolean> => {
      if (canSyncAll) synced.push(`all of ${path}`);
      return canSyncAll;
    },
  };
}

async function addMany(unsynced: Unsynced, count: number): Promise<void> {
  for (let n = 0; n < count; n += 1) await unsynced.add({ file: `/r/f${n}`, directory: '/r' });
}

describe('files that are made durable together', () => {
  it('are synced one by one if they are few, each directory once and last', async () => {
    const fs = disk();
    const unsynced = new Unsynced(fs, '/r');
    await addMany(unsynced, 3);
    expect(fs.synced).toEqual([]);
    await unsynced.flush();
    expect(fs.synced).toEqual(['/r/f0', '/r/f1', '/r/f2', '/r']);
  });

  it('are synced by one call if they are many, and not again', async () => {
    const fs = disk();
    const unsynced = new Unsynced(fs, '/r');
    await addMany(unsynced, 1000);
    await unsynced.flush();
    await unsynced.flush();
    expect(fs.synced).toEqual(['all of /r']);
  });

  it('are synced each where one call is not to be had', async () => {
    const fs = disk({ canSyncAll: false });
    const unsynced = new Unsynced(fs, '/r');
    await addMany(unsynced, 1000);
    await unsynced.flush();
    expect(fs.synced).toHaveLength(1001);
    expect(fs.synced.at(-1)).toBe('/r');
  });

  it('are never more than some thousands', async () => {
    const fs = disk();
    const unsynced = new Unsynced(fs, '/r');
    await addMany(unsynced, 10_000);
    expect(fs.synced).toHaveLength(2);
  });

  it('fail for good: the kernel tells of what it could not write once', async () => {
    const fs = disk({ canSyncAll: false, failFrom: 10 });
    const unsynced = new Unsynced(fs, '/r');
    // More than are kept: it fails before it is asked.
    await addMany(unsynced, 5000);
    await expect(unsynced.flush()).rejects.toThrow('cannot be written');
    await expect(unsynced.flush()).rejects.toThrow('cannot be written');
    await addMany(unsynced, 1);
    await expect(unsynced.flush()).rejects.toThrow('cannot be written');
  });
});

/** Whether this host is one of those on which it is trusted: a usual Linux, with coreutils, and the directory on a usual file system. */
function syncsFiles(dir: string): boolean {
  if (process.platform !== 'linux' || !existsSync('/bin/sync') || !reportsErrors(release())) return false;
  const type = execFileSync('stat', ['--file-system', '--format=%T', dir], { encoding: 'utf8' }).trim();
  return ['ext2/ext3', 'xfs', 'btrfs', 'f2fs', 'tmpfs'].includes(type);
}

describe('one sync for a file system', () => {
  it('is trusted where the kernel reports what could not be written', () => {
    expect(['6.1.0-18-amd64', '5.8.0', '5.15.49-linuxkit', '10.0'].map(reportsErrors)).not.toContain(false);
    expect(['5.7.19', '4.4.0', '3.10.0-1160.el7', ''].map(reportsErrors)).not.toContain(true);
  });

  it('is made on this one, or each file is synced', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'sync-agent-sync-'));
    try {
      await writeFile(join(dir, 'file'), 'content');
      // What is called sync on the way to it is not run.
      writeFileSync(join(dir, 'sync'), '#!/bin/sh\ntouch "$0.was-run"\n', { mode: 0o755 });
      const { PATH } = process.env;
      process.env['PATH'] = `${dir}:${PATH}`;
      expect(await syncAll(dir)).toBe(syncsFiles(dir));
      process.env['PATH'] = PATH;
      expect(readdirSync(dir)).not.toContain('sync.was-run');
      expect(await syncAll(join(dir, 'missing'))).toBe(false);
      // Not a file system of a disk.
      expect(await syncAll('/proc')).toBe(false);
    } finally {
      await rm(dir, { recursive: true });
    }
  });
});
