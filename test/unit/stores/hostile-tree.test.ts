import { execFileSync } from 'node:child_process';
import { renameSync, writeFileSync } from 'node:fs';
import {
  chmod,
  link,
  lstat,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { createServer } from 'node:net';
import type { Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AgentPorts } from '../../../src/in-process/create-agent.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';
import type { FileSystem } from '../../../src/platform/file-system.ts';
import { scanStore } from '../../../src/stores/content/scan.ts';
import { makeHost } from '../../support/host.ts';
import type { Host, HostOptions } from '../../support/host.ts';

let root = '';
let remote: Remote;
let host: Host;
let other: Host;
let servers: Server[];
beforeEach(async () => {
  servers = [];
  root = await mkdtemp(join(tmpdir(), 'hostile-tree-'));
  remote = createMemoryRemote({ now: Date.now });
  host = await on('here');
  other = await on('there');
  await mkdir(join(root, 'outside'));
  await writeFile(join(root, 'outside/precious'), 'precious');
});
afterEach(async () => {
  for (const server of servers) server.close();
  // Whatever a test did, nothing outside the stores was written or deleted.
  expect(await readdir(join(root, 'outside'))).toEqual(['precious']);
  expect(await readFile(join(root, 'outside/precious'), 'utf8')).toBe('precious');
  await rm(root, { recursive: true, force: true });
});

async function on(name: string, options: Partial<HostOptions> = {}): Promise<Host> {
  await mkdir(join(root, name), { recursive: true });
  return makeHost({ remote, root: join(root, name), ports: quiet, ...options });
}

const quiet: Partial<AgentPorts> = { findStoreUsers: async () => [] };
/** Room for the snapshot, not for both: replaces file by file. */
const inPlace: Partial<AgentPorts> = {
  ...quiet,
  diskSpace: async () => ({ freeBytes: 1000, totalBytes: 1000 }),
};

const invalidName = Buffer.concat([Buffer.from('bad-'), Buffer.from([0xff, 0xfe])]);
const invalid = (dir: string): Buffer => Buffer.concat([Buffer.from(`${dir}/`), invalidName]);

const oddities: Record<string, (store: string) => Promise<unknown>> = {
  'a symbolic link to a file': (store) => symlink(join(root, 'outside/precious'), join(store, 'odd')),
  'a symbolic link to a directory': (store) => symlink(join(root, 'outside'), join(store, 'odd')),
  'a symbolic link to nothing': (store) => symlink('nowhere', join(store, 'odd')),
  'a symbolic link to itself': (store) => symlink('odd', join(store, 'odd')),
  'a symbolic link to the store': (store) => symlink(store, join(store, 'odd')),
  'a FIFO': async (store) => execFileSync('mkfifo', [join(store, 'odd')]),
  'a socket': (store) =>
    new Promise<void>((resolve, reject) => {
      const server = createServer().on('error', reject).listen(join(store, 'odd'), resolve);
      servers.push(server);
    }),
  'a file whose name is not UTF-8': async (store) => writeFileSync(invalid(store), 'content'),
  'a directory whose name is not UTF-8': async (store) => {
    await mkdir(invalid(store));
    writeFileSync(Buffer.concat([invalid(store), Buffer.from('/x')]), 'content');
  },
};
const names = Object.keys(oddities);
const plant = (name: string, store: string): Promise<unknown> =>
  oddities[name]?.(store) ?? Promise.reject(new Error(name));
const hasInvalidName = (name: string): boolean => name.includes('UTF-8');

describe('a backup', () => {
  it.each(names)('refuses %s, naming it, and uploads nothing', async (name) => {
    await host.write({ a: 'content' });
    await plant(name, host.store);
    await expect(host.agent.backup()).rejects.toMatchObject({
      code: 'REFUSED',
      message: expect.stringMatching(/Cannot back up "(odd|bad-)/) as string,
    });
    expect(await other.agent.list()).toEqual([]);
  });

  it.each(names)('is not talked out of it by an unchanged rest: %s', async (name) => {
    await host.write({ a: 'content' });
    await host.agent.backup();
    await plant(name, host.store);
    await expect(host.agent.backup()).rejects.toMatchObject({ code: 'REFUSED' });
  });

  it('takes hard links for the files that they are, also where one leads outside', async () => {
    await host.write({ a: 'content' });
    await link(join(host.store, 'a'), join(host.store, 'b'));
    await link(join(root, 'outside/precious'), join(host.store, 'c'));
    await host.agent.backup();
    await other.agent.restore();
    expect(await other.read()).toEqual({ a: 'content', b: 'content', c: 'precious' });
    expect((await lstat(join(other.store, 'a'))).nlink).toBe(1);
  });

  it('tells names apart that differ in case or composition only', async () => {
    const files = { a: '1', A: '2', é: '3', 'e\u0301': '4', É: '5' };
    await host.write(files);
    await host.agent.backup();
    await other.agent.restore();
    expect(await other.read()).toEqual(files);
  });

  it('refuses a path that is too long for the remote, and says how long it may be', async () => {
    const deep = Array.from({ length: 5 }, () => 'x'.repeat(250)).join('/');
    await host.write({ [deep]: 'content' });
    await expect(host.agent.backup()).rejects.toMatchObject({
      code: 'REFUSED',
      message: expect.stringContaining('bytes') as string,
    });
  });

  it('survives a file that becomes a FIFO under its hands', async () => {
    await host.write({ a: 'content' });
    const fifo = join(root, 'fifo');
    execFileSync('mkfifo', [fifo]);
    const racing: FileSystem = {
      ...nodeFileSystem,
      copy: async (from, to, options) => {
        await nodeFileSystem.copy(from, to, options);
        if (from === join(host.store, 'a')) renameSync(fifo, from);
      },
    };
    const racer = await on('here', { fs: racing });
    await expect(racer.agent.backup({ local: { minIntervalMs: 0 } })).rejects.toMatchObject({
      code: 'REFUSED',
    });
  });

  it('survives a file that becomes a FIFO while it is read where it lies', async () => {
    await host.write({ a: 'content' });
    const fifo = join(root, 'fifo');
    execFileSync('mkfifo', [fifo]);
    const racing: Remote = {
      ...remote,
      put: async (key, body, options) => {
        if (key.endsWith('/a')) renameSync(fifo, join(host.store, 'a'));
        return remote.put(key, body, options);
      },
    };
    const racer = await on('here', { remote: racing });
    await expect(racer.agent.backup()).rejects.toMatchObject({ code: 'REFUSED' });
  });
});

describe('a restore over an old store that has something odd in it', () => {
  it.each(names)('%s: is not blocked by it, keeps it in the rollback copy, and lists that', async (name) => {
    await other.write({ a: 'from remote' });
    await other.agent.backup();
    await host.write({ a: 'old' });
    await plant(name, host.store);
    await host.agent.status();
    expect(await host.agent.restore({ force: true })).toMatchObject({ type: 'restored' });
    expect((await scanStore(host.store)).oddities).toEqual([]);
    expect(await host.read()).toEqual({ a: 'from remote' });
    const [copy] = await host.agent.rollbackCopies();
    expect(copy?.files).toBe(1);
    await host.agent.rollBack(copy?.name ?? '');
    expect((await scanStore(host.store)).oddities).toHaveLength(1);
    expect(await readFile(join(host.store, 'a'), 'utf8')).toBe('old');
  });

  it.each(names)('%s: is no reason to call the store unchanged', async (name) => {
    await other.write({ a: '1' });
    await other.agent.backup();
    await host.agent.restore();
    await plant(name, host.store);
    await other.write({ a: '2' });
    await other.agent.backup();
    expect(await host.agent.restore()).toMatchObject({ type: 'diverged' });
    expect(await readFile(join(host.store, 'a'), 'utf8')).toBe('1');
  });

  it.each(names)('%s: in place, is removed as it is or refused before anything is touched', async (name) => {
    await other.write({ a: 'from remote', 'odd/b': 'a directory where the link is' });
    await other.agent.backup();
    const cramped = await on('here', { ports: inPlace });
    await cramped.write({ a: 'old' });
    await plant(name, cramped.store);
    const restoring = cramped.agent.restore({ force: true, skipBackup: true });
    if (hasInvalidName(name)) {
      await expect(restoring).rejects.toMatchObject({ code: 'REFUSED' });
      expect(await readFile(join(cramped.store, 'a'), 'utf8')).toBe('old');
      return;
    }
    await restoring;
    expect(await cramped.read()).toEqual({ a: 'from remote', 'odd/b': 'a directory where the link is' });
    expect((await lstat(join(cramped.store, 'odd'))).isDirectory()).toBe(true);
  });

  it.each(names)('%s: entry by entry, in a store that is a mount point', async (name) => {
    await other.write({ a: 'from remote', 'odd/b': 'x' });
    await other.agent.backup();
    const store = join(root, 'here/store');
    const mounted = await on('here', {
      ports: {
        ...quiet,
        locateHome: async () => ({ store, dir: join(store, '.sync-agent'), swap: 'entries' }),
      },
    });
    await mounted.write({ a: 'old' });
    await plant(name, store);
    const restoring = mounted.agent.restore({ force: true });
    if (hasInvalidName(name)) {
      await expect(restoring).rejects.toMatchObject({ code: 'REFUSED' });
      expect(await readFile(join(store, 'a'), 'utf8')).toBe('old');
      return;
    }
    await restoring;
    expect(await mounted.read()).toEqual({ a: 'from remote', 'odd/b': 'x' });
  });
});

describe('what is in the way of a restore', () => {
  it('a link in the place of the store’s directory is the store that it leads to, and stays a link', async () => {
    await other.write({ a: 'from remote' });
    await other.agent.backup();
    await mkdir(join(root, 'here/real'));
    await symlink('real', host.store);
    await host.agent.restore();
    expect((await lstat(host.store)).isSymbolicLink()).toBe(true);
    expect(await host.read()).toEqual({ a: 'from remote' });
  });

  it('files where directories belong and the reverse are replaced, in place too', async () => {
    await other.write({ 'a/b': '1', c: '2' });
    await other.agent.backup();
    for (const ports of [quiet, inPlace]) {
      const again = await on('here', { ports });
      await again.write({ a: 'a file', 'c/d/e': 'a directory' });
      await again.agent.restore({ force: true, skipBackup: true });
      expect(await again.read()).toEqual({ 'a/b': '1', c: '2' });
      await again.wipe();
    }
  });

  it('a hard link to a file outside is let go, not written through', async () => {
    await other.write({ a: 'from remote' });
    await other.agent.backup();
    const cramped = await on('here', { ports: inPlace });
    await mkdir(cramped.store);
    await link(join(root, 'outside/precious'), join(cramped.store, 'a'));
    await cramped.agent.restore({ force: true, skipBackup: true });
    expect(await cramped.read()).toEqual({ a: 'from remote' });
  });

  it('a file system that takes two names for one is told from one that does not', async () => {
    await other.write({ Name: '1', name: '2' });
    await other.agent.backup();
    const fold = (path: string): string => path.replaceAll('/Name', '/name');
    const folding: FileSystem = {
      ...nodeFileSystem,
      openForWrite: (path, options) => nodeFileSystem.openForWrite(fold(path), options),
      remove: (path) => nodeFileSystem.remove(fold(path)),
      setAttributes: (path, attributes) => nodeFileSystem.setAttributes(fold(path), attributes),
      sync: (path) => nodeFileSystem.sync(fold(path)),
    };
    const folded = await on('here', { fs: folding, settings: { concurrency: 1 } });
    await expect(folded.agent.restore()).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringContaining('case') as string,
    });
    expect(await folded.read()).toBeUndefined();
  });

  it('a directory that nobody may write to is a clear refusal', async () => {
    if (process.getuid?.() === 0) return;
    await other.write({ a: 'from remote' });
    await other.agent.backup();
    await chmod(join(root, 'here'), 0o500);
    await expect(host.agent.restore()).rejects.toMatchObject({ code: 'DENIED' });
    await chmod(join(root, 'here'), 0o700);
  });
});
