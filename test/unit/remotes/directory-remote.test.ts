import {
  link,
  lstat,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  rm,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/platform/clock.ts';
import { textBody } from '../../../src/remotes/body.ts';
import { createDirectoryRemote } from '../../../src/remotes/directory/directory-remote.ts';
import { walkObjects } from '../../../src/remotes/directory/directory-tree.ts';
import { nodeFileSystem, type FileSystem } from '../../../src/platform/file-system.ts';
import { describeRemote } from '../../conformance/remote-conformance.ts';

const cannot = (code: string) => async () => {
  throw Object.assign(new Error(code), { code });
};
const withoutLinks: FileSystem = { ...nodeFileSystem, link: cannot('EPERM') };

describeRemote('directory remote without hard links', async () => {
  const home = await mkdtemp(join(tmpdir(), 'sync-agent-directory-'));
  const remote = createDirectoryRemote({ path: join(home, 'remote'), fs: withoutLinks });
  // Racing creators may be told to try again.
  const patient: typeof remote = Object.create(remote, {
    put: {
      value: async (...call: Parameters<typeof remote.put>) => {
        for (;;) {
          try {
            return await remote.put(...call);
          } catch (error) {
            if ((error as { retryable?: boolean }).retryable !== true) throw error;
            await systemClock.sleep(1);
          }
        }
      },
    },
  }) as typeof remote;
  const bound = Object.fromEntries(
    (['get', 'head', 'list', 'listDirectories', 'copy', 'remove', 'sweepUploads', 'close'] as const).map(
      (name) => [name, remote[name].bind(remote)],
    ),
  ) as unknown as typeof remote;
  return {
    remote: { ...bound, location: remote.location, put: patient.put },
    close: () => rm(home, { recursive: true, force: true }),
  };
});

describe('the directory remote', () => {
  let home: string;
  let root: string;
  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'sync-agent-directory-'));
    root = join(home, 'remote');
  });
  afterEach(() => rm(home, { recursive: true, force: true }));

  const keysOf = async (path = root): Promise<string[]> => {
    const keys: string[] = [];
    for await (const { objects } of createDirectoryRemote({ path }).list(''))
      keys.push(...objects.map(({ key }) => key));
    return keys;
  };

  it('is empty until the first write, and private from then on', async () => {
    const remote = createDirectoryRemote({ path: root });
    expect(await keysOf()).toEqual([]);
    expect(await remote.sweepUploads('', new Date())).toBe(0);
    await remote.put('a/b', textBody('x'));
    expect((await lstat(root)).mode & 0o777).toBe(0o700);
    expect((await lstat(join(root, 'a'))).mode & 0o777).toBe(0o700);
    expect((await lstat(join(root, 'a/b'))).mode & 0o777).toBe(0o600);
    expect(await readdir(join(root, '.sync-agent.tmp'))).toEqual([]);
  });

  it('is out of reach, and not empty, where a file is in its place or above it', async () => {
    await writeFile(join(home, 'mount'), '');
    for (const path of [join(home, 'mount'), join(home, 'mount/a/b')]) {
      const remote = createDirectoryRemote({ path });
      const calls: Readonly<Record<string, () => Promise<unknown>>> = {
        list: () => keysOf(path),
        listDirectories: () => remote.listDirectories(''),
        head: () => remote.head('x'),
        get: () => remote.get('x'),
        put: () => remote.put('x', textBody('x')),
        copy: () => remote.copy('x', 'y'),
        remove: () => remote.remove(['x']),
        sweepUploads: () => remote.sweepUploads('', new Date()),
      };
      for (const [name, call] of Object.entries(calls)) {
        await expect(call(), name).rejects.toMatchObject({
          code: 'REMOTE_UNREACHABLE',
          message: expect.stringContaining(`"${join(home, 'mount')}" is not a directory`) as unknown,
        });
      }
    }
  });

  it('copies by hard link, and a fresh copy of an old object is young', async () => {
    const remote = createDirectoryRemote({ path: root });
    await remote.put('history/x', textBody('x'));
    await utimes(join(root, 'history/x'), 0, 0);
    const before = Date.now() - 1000;
    await remote.copy('history/x', 'x');
    expect((await lstat(join(root, 'x'))).ino).toBe((await lstat(join(root, 'history/x'))).ino);
    expect((await remote.head('x'))?.lastModified.getTime()).toBeGreaterThan(before);
    await remote.copy('history/x', 'x');
    expect(await readdir(join(root, '.sync-agent.tmp'))).toEqual([]);
  });

  it('copies the bytes of a file that can have no more names', async () => {
    const remote = createDirectoryRemote({ path: root });
    await remote.put('old', textBody('old'));
    await remote.put('new', textBody('new'));
    let links = 0;
    const fs: FileSystem = {
      ...nodeFileSystem,
      link: async (from, to) => {
        links += 1;
        if (links === 2) throw Object.assign(new Error('EMLINK'), { code: 'EMLINK' });
        await nodeFileSystem.link(from, to);
      },
    };
    await createDirectoryRemote({ path: root, fs }).copy('new', 'old');
    expect(links).toBe(2);
    expect(await readFile(join(root, 'old'), 'utf8')).toBe('new');
    expect((await lstat(join(root, 'old'))).ino).not.toBe((await lstat(join(root, 'new'))).ino);
    expect(await readdir(join(root, '.sync-agent.tmp'))).toEqual([]);
  });

  it('does not try again to copy what vanished meanwhile', async () => {
    await createDirectoryRemote({ path: root }).put('x', textBody('x'));
    let links = 0;
    const fs: FileSystem = {
      ...nodeFileSystem,
      link: async (from, to) => {
        links += 1;
        await rm(from, { force: true });
        await nodeFileSystem.link(from, to);
      },
    };
    await expect(createDirectoryRemote({ path: root, fs }).copy('x', 'y')).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    expect(links).toBe(1);
  });

  it('looks at no more objects at once than it is told', async () => {
    const remote = createDirectoryRemote({ path: root });
    for (const key of ['a/1', 'a/2', 'a/3', 'b', 'c']) await remote.put(key, textBody('x'));
    const batches: (readonly string[])[] = [];
    for await (const objects of walkObjects(root, { prefix: '', most: 2 }))
      batches.push(objects.map(({ key }) => key));
    expect(batches).toEqual([['a/1', 'a/2'], ['a/3'], ['b', 'c']]);
  });

  it('never follows a symbolic link out of its directory', async () => {
    const outside = join(home, 'outside');
    await mkdir(outside);
    await writeFile(join(outside, 'precious'), 'precious');
    await mkdir(root);
    await symlink(outside, join(root, 'link'));
    await symlink(join(outside, 'precious'), join(root, 'file'));
    const remote = createDirectoryRemote({ path: root });
    const refused = { code: 'REFUSED' };
    await expect(remote.put('link/new', textBody('x'))).rejects.toMatchObject(refused);
    await expect(remote.remove(['link/precious'])).rejects.toMatchObject(refused);
    await expect(remote.get('link/precious')).rejects.toMatchObject(refused);
    await expect(remote.copy('link/precious', 'x')).rejects.toMatchObject(refused);
    await expect(remote.get('file')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await remote.put('file', textBody('replaced the link'));
    await remote.remove(['file']);
    expect(await keysOf()).toEqual([]);
    expect(await readdir(outside)).toEqual(['precious']);
    expect(await readFile(join(outside, 'precious'), 'utf8')).toBe('precious');
  });

  it('never removes a directory that holds something', async () => {
    const remote = createDirectoryRemote({ path: root });
    await remote.put('history/a/x', textBody('x'));
    await writeFile(join(root, 'history', 'note'), 'by hand');
    await remote.remove(['history', 'history/a']);
    expect(await keysOf()).toEqual(['history/a/x', 'history/note']);
    await remote.remove(['history/a/x', 'history/note']);
    expect(await readdir(root)).toEqual(['.sync-agent.tmp']);
  });

  it('refuses an object where a directory is, or the other way round, and the reserved name', async () => {
    const remote = createDirectoryRemote({ path: root });
    await remote.put('a/b', textBody('x'));
    for (const key of ['a', 'a/b/c', '.sync-agent.tmp', '.sync-agent.tmp/x']) {
      await expect(remote.put(key, textBody('y')), key).rejects.toMatchObject({ code: 'REFUSED' });
    }
    expect(await keysOf()).toEqual(['a/b']);
  });

  it('leaves the old object or the new one at every failing step of a write', async () => {
    for (const step of ['makeDirectory', 'openForWrite', 'sync', 'rename', 'link'] as const) {
      for (const ifAbsent of [false, true]) {
        const path = join(home, `${step}-${ifAbsent}`);
        const good = createDirectoryRemote({ path });
        await good.put('d/x', textBody('old'));
        const remote = createDirectoryRemote({ path, fs: { ...nodeFileSystem, [step]: cannot('ENOSPC') } });
        const key = ifAbsent ? 'd/y' : 'd/x';
        await remote.put(key, textBody('new'), { ifAbsent }).catch((error: unknown) => {
          expect(error).toMatchObject({ code: 'DISK_FULL' });
        });
        const content = await readFile(join(path, key), 'utf8').catch(() => 'absent');
        expect(['old', 'new', 'absent']).toContain(content);
        if (!ifAbsent) expect(content).not.toBe('absent');
        expect(await readdir(join(path, '.sync-agent.tmp'))).toEqual([]);
      }
    }
  });

  it('makes the file durable before it gets its name, and the name before it resolves', async () => {
    const steps: string[] = [];
    const fs: FileSystem = {
      ...nodeFileSystem,
      openForWrite: async (path, options) => {
        const file = await nodeFileSystem.openForWrite(path, options);
        return {
          ...file,
          sync: async () => {
            steps.push('sync file');
            await file.sync();
          },
        };
      },
      rename: async (from, to) => {
        steps.push('rename');
        await nodeFileSystem.rename(from, to);
      },
      sync: async (path) => {
        steps.push(`sync ${path.slice(home.length)}`);
        await nodeFileSystem.sync(path);
      },
    };
    await createDirectoryRemote({ path: root, fs }).put('a/b', textBody('x'));
    expect(steps).toEqual(['sync ', 'sync /remote', 'sync file', 'sync /remote', 'rename', 'sync /remote/a']);
  });

  it('makes its parents again when a concurrent removal took them away', async () => {
    let removals = 3;
    const fs: FileSystem = {
      ...nodeFileSystem,
      rename: async (from, to) => {
        if ((removals -= 1) >= 0) await rm(join(root, 'a'), { recursive: true });
        await nodeFileSystem.rename(from, to);
      },
    };
    await createDirectoryRemote({ path: root, fs }).put('a/b/c', textBody('x'));
    expect(await keysOf()).toEqual(['a/b/c']);
  });

  it('sweeps what a crash left behind, once it is old', async () => {
    const remote = createDirectoryRemote({ path: root });
    await remote.put('x', textBody('x'));
    await writeFile(join(root, '.sync-agent.tmp', 'orphan'), 'half');
    expect(await keysOf()).toEqual(['x']);
    expect(await remote.sweepUploads('', new Date(Date.now() - 60_000))).toBe(0);
    expect(await remote.sweepUploads('', new Date(Date.now() + 60_000))).toBe(1);
    expect(await readdir(join(root, '.sync-agent.tmp'))).toEqual([]);
  });

  it('takes over the claim of a dead creator on a file system without links', async () => {
    const remote = createDirectoryRemote({ path: root, fs: withoutLinks });
    await remote.put('k', textBody('old'), { ifAbsent: true });
    await remote.remove(['k']);
    const claim = 'claim-8254c329a92850f6d539dd376f4816ee2764517da5e0235514af433164480d7a';
    await writeFile(join(root, '.sync-agent.tmp', claim), '');
    await expect(remote.put('k', textBody('new'), { ifAbsent: true })).rejects.toMatchObject({
      retryable: true,
    });
    await expect(remote.put('k', textBody('new'), { ifAbsent: true })).rejects.toMatchObject({
      retryable: true,
    });
    await utimes(join(root, '.sync-agent.tmp', claim), 0, 0);
    await expect(remote.put('k', textBody('new'), { ifAbsent: true })).rejects.toMatchObject({
      retryable: true,
    });
    await remote.put('k', textBody('new'), { ifAbsent: true });
  });

  it('judges time by the clock of the file system it wrote to', async () => {
    const clock = { ...systemClock, now: () => Date.now() - 86_400_000 };
    const remote = createDirectoryRemote({ path: root, clock });
    const { serverTime } = await remote.put('x', textBody('x'));
    expect(Math.abs(serverTime.getTime() - Date.now())).toBeLessThan(5000);
    await link(join(root, 'x'), join(root, 'y'));
    for await (const page of remote.list(''))
      expect(Math.abs(page.serverTime.getTime() - Date.now())).toBeLessThan(5000);
  });
});

describe('the age of hard links', () => {
  it('is not made young by a further copy', async () => {
    const home = await mkdtemp(join(tmpdir(), 'sync-agent-directory-'));
    try {
      const remote = createDirectoryRemote({ path: home });
      await remote.put('history/a/x', textBody('shared'));
      await remote.copy('history/a/x', 'history/b/x');
      const anHourAgo = Date.now() / 1000 - 3600;
      for (const path of ['history/a/x', 'history/a', 'history/b'])
        await utimes(join(home, path), anHourAgo, anHourAgo);
      await remote.copy('history/b/x', 'history/c/x');
      const ages: Record<string, boolean> = {};
      for await (const page of remote.list('history/')) {
        for (const { key, lastModified } of page.objects)
          ages[key] = Date.now() - lastModified.getTime() > 3_000_000;
      }
      expect(ages).toEqual({ 'history/a/x': true, 'history/b/x': true, 'history/c/x': false });
    } finally {
      await rm(home, { recursive: true });
    }
  });
});
