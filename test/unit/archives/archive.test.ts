import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmod,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AgentPorts } from '../../../src/in-process/create-agent.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import { fastTmp, makeHost, readTree, shiftableClock } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';
import { missingTools } from '../../support/tools.ts';

const quiet: Partial<AgentPorts> = { findStoreUsers: async () => [] };
const tree = { 'a.txt': 'content of a', 'sub/b.txt': '', 'sub/ünïcödé ☃.txt': 'x'.repeat(100_000) };

let root: string;
let host: Host;
let out: string;
beforeAll(async () => {
  root = await mkdtemp(join(fastTmp, 'sync-agent-archive-'));
  host = await makeHost({ remote: createMemoryRemote({ now: Date.now }), root, ports: quiet });
  await host.write(tree);
  await mkdir(join(host.store, 'empty'), { mode: 0o750 });
  await chmod(join(host.store, 'a.txt'), 0o600);
  await utimes(join(host.store, 'a.txt'), 1e9, 1e9);
  out = join(root, 'out');
});
afterAll(() => rm(root, { recursive: true, force: true }));

const noUnzip = missingTools(['unzip'], 'archives that unzip opens') !== undefined;
/** Exit code of unzip for a compression or encryption that it does not know (unzip(1), DIAGNOSTICS). */
const unzipUnsupported = 81;

describe('an archive of the store', () => {
  it.skipIf(noUnzip)('holds every file, its mode and its time, for plain unzip', async () => {
    const result = await host.agent.archiveTo(join(out, 'one.zip'));
    expect(result).toMatchObject({
      type: 'archived',
      source: 'store',
      files: 3,
      records: 3,
      isEncrypted: false,
    });
    // In a locale without UTF-8 it would write names in ASCII.
    const env = { ...process.env, LC_ALL: 'C.UTF-8' };
    execFileSync('unzip', ['-q', result.path, '-d', join(root, 'unzipped')], { env });
    expect(await readTree(join(root, 'unzipped', 'store'))).toEqual(tree);
    expect((await stat(join(root, 'unzipped/store/a.txt'))).mode & 0o777).toBe(0o600);
    expect((await stat(join(root, 'unzipped/store/a.txt'))).mtimeMs).toBe(1e12);
    expect((await stat(join(root, 'unzipped/store/empty'))).isDirectory()).toBe(true);
    expect(await readdir(out)).toEqual(['one.zip']);
    expect((await stat(result.path)).size).toBe(result.archiveBytes);
  });

  it('is restored into a new directory as it was', async () => {
    const dir = join(root, 'restored');
    const result = await host.agent.restoreArchiveTo(join(out, 'one.zip'), dir);
    expect(result).toMatchObject({ type: 'restored-to', dir, files: 3, records: 3 });
    expect(await readTree(dir)).toEqual(tree);
    expect((await stat(join(dir, 'a.txt'))).mode & 0o777).toBe(0o600);
    expect((await stat(join(dir, 'a.txt'))).mtimeMs).toBe(1e12);
    expect((await stat(join(dir, 'empty'))).mode & 0o777).toBe(0o750);
  });

  it('is described with what is in it', async () => {
    const info = await host.agent.archiveInfo(join(out, 'one.zip'));
    expect(info).toMatchObject({
      source: 'store',
      store: host.store,
      adapter: 'files',
      records: 3,
      damage: [],
    });
    expect(info.contents.map(({ path }) => path)).toEqual(Object.keys(tree));
  });

  it('leaves nothing beside the store, and needs no remote', async () => {
    expect(await readdir(root)).not.toContain('.store.sync-agent');
  });

  it('replaces no file unless it is told to', async () => {
    const again = host.agent.archiveTo(join(out, 'one.zip'));
    await expect(again).rejects.toMatchObject({ code: 'REFUSED' });
    await host.agent.archiveTo(join(out, 'one.zip'), { force: true });
    expect(await readdir(out)).toEqual(['one.zip']);
  });

  it.each([
    ['the store', (): string => join(host.store, 'x.zip')],
    ['a directory of the store', (): string => join(host.store, 'sub')],
    ['the home of the store', (): string => join(root, '.store.sync-agent', 'x.zip')],
  ])('is not written into %s', async (_, place) => {
    await expect(host.agent.archiveTo(place())).rejects.toMatchObject({ code: 'USAGE' });
    expect(await readTree(host.store)).toEqual(tree);
  });

  it('is not written into the store through a link', async () => {
    await symlink(host.store, join(root, 'link'));
    await expect(host.agent.archiveTo(join(root, 'link', 'x.zip'))).rejects.toMatchObject({ code: 'USAGE' });
  });

  it('of a store that is missing is NOT_FOUND', async () => {
    const bare = await makeHost({ remote: createMemoryRemote({ now: Date.now }), ports: quiet });
    await expect(bare.agent.archiveTo(join(out, 'none.zip'))).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(await readdir(out)).not.toContain('none.zip');
    await bare.remove();
  });
});

describe('an encrypted archive', () => {
  const password = 'correct horse';
  const path = (): string => join(out, 'secret.zip');
  beforeAll(async () => {
    await host.agent.archiveTo(path(), { password });
  });

  it('opens with its password only', async () => {
    await expect(host.agent.archiveInfo(path())).rejects.toMatchObject({
      code: 'DENIED',
      remedy: expect.stringContaining('--password-file') as string,
    });
    await expect(host.agent.archiveInfo(path(), { password: 'wrong' })).rejects.toMatchObject({
      code: 'DENIED',
    });
    const dir = join(root, 'decrypted');
    await host.agent.restoreArchiveTo(path(), dir, { password });
    expect(await readTree(dir)).toEqual(tree);
  });

  it('hides contents and manifest, but neither names nor sizes', async () => {
    const bytes = (await readFile(path())).toString('latin1');
    expect(bytes).not.toContain('content of a');
    expect(bytes).not.toContain('uploadId');
    expect(bytes).toContain('store/a.txt');
    expect((await host.agent.listArchives(out)).archives).toContainEqual(
      expect.objectContaining({ path: path(), isEncrypted: true, files: 3 }),
    );
  });

  it.skipIf(noUnzip)('is refused by plain unzip, which does not know its encryption', () => {
    const { status } = spawnSync('unzip', ['-P', password, '-q', path(), '-d', join(root, 'no')]);
    expect(status).toBe(unzipUnsupported);
  });

  it('has no empty password', async () => {
    const empty = host.agent.archiveTo(join(out, 'empty.zip'), { password: '' });
    await expect(empty).rejects.toMatchObject({ code: 'USAGE' });
  });
});

describe('a directory of archives', () => {
  it('gets files by store and time, keeps the newest, and deletes only archives of this store', async () => {
    const dir = join(root, 'many');
    const clock = shiftableClock();
    const ours = await makeHost({ remote: createMemoryRemote({ now: Date.now }), root, clock, ports: quiet });
    const others = await makeHost({ remote: createMemoryRemote({ now: Date.now }), clock, ports: quiet });
    await others.write(tree);
    await mkdir(dir);
    // Of another host's store with the same name, one that is no archive, and one that a person named.
    const foreign = (await others.agent.archiveTo(dir)).path;
    await writeFile(join(dir, 'store_20200101_000000.zip'), 'my own notes');
    await ours.agent.archiveTo(join(dir, 'before-the-move.zip'));
    // The same path on another host.
    const settings = { host: 'another' };
    const twin = await makeHost({
      remote: createMemoryRemote({ now: Date.now }),
      root,
      clock,
      settings,
      ports: quiet,
    });
    clock.forward(-5000);
    const foreignToo = (await twin.agent.archiveTo(dir)).path;
    clock.forward(5000);
    const made: string[] = [];
    for (let n = 0; n < 4; n++) {
      clock.forward(1000);
      const { path, deleted } = await ours.agent.archiveTo(dir, { maxBackups: 2 });
      expect(path).toMatch(/\/store_[0-9]{8}_[0-9]{6}\.zip$/);
      made.push(path);
      expect(deleted).toEqual(n < 2 ? [] : [made[n - 2]]);
    }
    const left = [foreign, foreignToo, ...made.slice(-2)].map((path) => path.slice(dir.length + 1));
    expect(await readdir(dir)).toEqual(
      ['before-the-move.zip', 'store_20200101_000000.zip', ...left].toSorted(),
    );
    const { archives, unreadable } = await ours.agent.listArchives(dir);
    expect(archives).toHaveLength(5);
    expect(unreadable.map(({ path }) => path)).toEqual([join(dir, 'store_20200101_000000.zip')]);
    await others.remove();
  });

  it('is freed of parts that killed runs left an hour ago, and of nothing else', async () => {
    const dir = join(root, 'parts');
    await mkdir(dir);
    const names = [
      '.sync-agent-archive-1-0123abcd.partial',
      '.sync-agent-archive-2-0123abcd.partial',
      'x.partial',
    ];
    for (const name of names) await writeFile(join(dir, name), '');
    for (const name of [names[0], names[2]]) await utimes(join(dir, name ?? ''), 1e9, 1e9);
    await host.agent.archiveTo(join(dir, 'a.zip'));
    expect(await readdir(dir)).toEqual([names[1], 'a.zip', 'x.partial']);
  });

  it.each([0, 1.5, -1, Number.NaN])('keeps no %s archives', async (maxBackups) => {
    await expect(host.agent.archiveTo(out, { maxBackups })).rejects.toMatchObject({ code: 'USAGE' });
  });
});
