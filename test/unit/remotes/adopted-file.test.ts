import { chmod, link, lstat, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fileBody } from '../../../src/remotes/body.ts';
import { createDirectoryRemote } from '../../../src/remotes/directory/directory-remote.ts';
import { isAdoptable } from '../../../src/remotes/directory/directory-file.ts';
import { nodeFileSystem, type FileSystem } from '../../../src/platform/file-system.ts';
import { fastTmp } from '../../support/host.ts';
import { Power, poweredFileSystem } from '../../support/power.ts';

let home: string;
let root: string;
let image: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'sync-agent-adopted-'));
  root = join(home, 'remote');
  image = join(home, 'image');
  await writeFile(image, 'content', { mode: 0o600 });
  await createDirectoryRemote({ path: root }).put('old', fileBody(image, 7));
});
afterEach(() => rm(home, { recursive: true, force: true }));

const inode = async (path: string): Promise<number> => (await lstat(path)).ino;

describe('a file that nobody writes to any more', () => {
  it('becomes the object, and stays when its other name is removed', async () => {
    const remote = createDirectoryRemote({ path: root });
    let sent = 0;
    const { serverTime } = await remote.put('a/b', fileBody(image, 7), {
      onBytes: (count) => (sent += count),
    });
    expect(sent).toBe(7);
    expect(Math.abs(serverTime.getTime() - Date.now())).toBeLessThan(5000);
    expect(await inode(join(root, 'a/b'))).toBe(await inode(image));
    await rm(image);
    expect(await readFile(join(root, 'a/b'), 'utf8')).toBe('content');
  });

  it('replaces an object, also the one that it became before', async () => {
    const remote = createDirectoryRemote({ path: root });
    await remote.put('old', fileBody(image, 7));
    expect(await inode(join(root, 'old'))).toBe(await inode(image));
    await remote.copy('old', 'old');
    expect(await readdir(join(root, '.sync-agent.tmp'))).toEqual([]);
  });

  it('is copied if others may read it, if it has another name, and if the object must be new', async () => {
    const remote = createDirectoryRemote({ path: root });
    const put = async (key: string, ifAbsent = false): Promise<boolean> => {
      await remote.put(key, fileBody(image, 7), { ifAbsent });
      expect(await readFile(join(root, key), 'utf8')).toBe('content');
      expect((await lstat(join(root, key))).mode & 0o777).toBe(0o600);
      return (await inode(join(root, key))) === (await inode(image));
    };
    expect(await put('new', true)).toBe(false);
    await chmod(image, 0o640);
    expect(await put('mode')).toBe(false);
    await chmod(image, 0o600);
    await link(image, join(home, 'another name'));
    expect(await put('linked')).toBe(false);
    await rm(join(home, 'another name'));
    expect(await put('last')).toBe(true);
  });

  it('is copied if it is on another device, or another user’s', async () => {
    const stats = await lstat(image, { bigint: true });
    const device = stats.dev;
    expect(isAdoptable(stats, { size: 7, device })).toBe(true);
    expect(isAdoptable(stats, { size: 7, device: device + 1n })).toBe(false);
    expect(isAdoptable(stats, { size: 7, device: undefined })).toBe(false);
    const others = Object.create(stats, { uid: { value: stats.uid + 1n } }) as typeof stats;
    expect(isAdoptable(others, { size: 7, device })).toBe(false);
  });

  it('is copied where there are no links', async () => {
    const fs: FileSystem = {
      ...nodeFileSystem,
      link: async () => {
        throw Object.assign(new Error('EXDEV'), { code: 'EXDEV' });
      },
    };
    await createDirectoryRemote({ path: root, fs }).put('x', fileBody(image, 7));
    expect(await inode(join(root, 'x'))).not.toBe(await inode(image));
    expect(await readFile(join(root, 'x'), 'utf8')).toBe('content');
  });

  it('is no object if it has another size than it should', async () => {
    const remote = createDirectoryRemote({ path: root });
    await expect(remote.put('x', fileBody(image, 8))).rejects.toMatchObject({ code: 'INTERNAL' });
    await expect(remote.put('x', fileBody(image, 6))).resolves.toBeDefined();
    expect(await readFile(join(root, 'x'), 'utf8')).toBe('conten');
  });

  it('is durable before it gets the name, and the name before the put resolves', async () => {
    const steps: string[] = [];
    const fs: FileSystem = {
      ...nodeFileSystem,
      sync: async (path) => {
        await nodeFileSystem.sync(path);
        steps.push(`sync ${path.slice(home.length)}`);
      },
      link: async (from, to) => {
        steps.push(`link ${to.slice(home.length)}`);
        await nodeFileSystem.link(from, to);
      },
    };
    const remote = createDirectoryRemote({ path: root, fs });
    await remote.put('x', fileBody(image, 7));
    steps.push('put');
    await remote.copy('x', 'y');
    steps.push('copied');
    expect(steps).toEqual([
      'sync /image',
      'link /remote/x',
      'sync /remote',
      'put',
      'link /remote/y',
      'sync /remote',
      'copied',
    ]);
  });
});

describe('a power cut', () => {
  it('at any effect of a put or a copy leaves whole objects, and what had resolved', async () => {
    for (const isLinked of [true, false]) {
      for (let cutAt = 1, isCut = true; isCut; cutAt += 1) isCut = await cutOnce(cutAt, isLinked);
    }
  });
});

/** Whether there was such an effect. */
async function cutOnce(cutAt: number, isLinked: boolean): Promise<boolean> {
  const dir = await mkdtemp(join(fastTmp, 'sync-agent-cut-'));
  try {
    const power = new Power(cutAt);
    // Written by a capture, and not synced.
    const path = join(dir, 'image');
    await writeFile(path, 'content', { mode: isLinked ? 0o600 : 0o640 });
    power.wrote(path);
    const remote = createDirectoryRemote({ path: join(dir, 'remote'), fs: poweredFileSystem(power) });
    const done: string[] = [];
    try {
      for (const key of ['a/x', 'a/x', 'b/y']) {
        await remote.put(key, fileBody(path, 7));
        done.push(key);
      }
      for (const key of ['x', 'x']) {
        await remote.copy('a/x', key);
        done.push(key);
      }
    } catch (error) {
      if (!power.isCut) throw error;
    }
    const after = createDirectoryRemote({ path: join(dir, 'remote') });
    const found: string[] = [];
    for await (const { objects } of after.list('')) found.push(...objects.map(({ key }) => key));
    expect(found).toEqual(expect.arrayContaining(done));
    for (const key of found) expect(await readFile(join(dir, 'remote', key), 'utf8'), key).toBe('content');
    return power.isCut;
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
