import { execFileSync } from 'node:child_process';
import { chownSync, existsSync, linkSync, lstatSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AgentPorts } from '../../../src/in-process/create-agent.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';
import { ownedFileSystem } from '../../../src/home/owner.ts';
import { makeHost } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';

const isRoot = process.geteuid?.() === 0;
if (!isRoot) console.warn('Not root: what root restores for another user is NOT tested');

const user = { uid: 4321, gid: 4322 };
const quiet: Partial<AgentPorts> = { findStoreUsers: async () => [] };
const inPlace: Partial<AgentPorts> = {
  ...quiet,
  diskSpace: async () => ({ freeBytes: 1000, totalBytes: 1000 }),
};
const byEntries: Partial<AgentPorts> = {
  ...quiet,
  locateHome: async (store) => ({ store, dir: join(store, '.sync-agent'), swap: 'entries' }),
};

let root = '';
let remote: Remote;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'owner-'));
  await chmod(root, 0o755);
  remote = createMemoryRemote({ now: Date.now });
  const other = await makeHost({ remote, root: join(root, 'other'), ports: quiet });
  await other.write({ a: 'a', 'd/b': 'b' });
  await other.agent.backup();
});
afterEach(() => rm(root, { recursive: true, force: true }));

function here(owner?: string, ports = quiet): Promise<Host> {
  return makeHost({ remote, root: join(root, 'here'), ports, settings: { owner } });
}

/** Every owner below a directory, and of it. */
function ownersBelow(dir: string): ReadonlySet<string> {
  const paths = readdirSync(dir, { recursive: true, encoding: 'utf8' }).map((name) => join(dir, name));
  return new Set([dir, ...paths].map((path) => `${lstatSync(path).uid}:${lstatSync(path).gid}`));
}

const theirs = `${user.uid}:${user.gid}`;

describe.skipIf(!isRoot)('what root writes for another user', () => {
  it.each([
    ['whole', quiet],
    ['entry by entry', byEntries],
    ['file by file', inPlace],
  ])(
    'has the owner of the store that is replaced %s, and so has what is kept beside it',
    async (_, ports) => {
      const host = await here(undefined, ports);
      await host.write({ a: 'old', c: 'c' });
      execFileSync('chown', ['-R', theirs, host.store]);
      await host.agent.restore({ force: true, skipBackup: ports === inPlace });
      expect(ownersBelow(host.store)).toEqual(new Set([theirs]));
      const home = join(host.root, '.store.sync-agent');
      if (existsSync(home)) expect(ownersBelow(home)).toEqual(new Set([theirs]));
      expect(lstatSync(host.root).uid).toBe(0);
    },
  );

  it('has the owner of the directory that the store is made in', async () => {
    const host = await here();
    mkdirSync(host.root, { recursive: true });
    chownSync(host.root, user.uid, user.gid);
    await host.agent.restore();
    await host.agent.restoreTo(join(host.root, 'new/copy'));
    expect(ownersBelow(host.root)).toEqual(new Set([theirs]));
  });

  it('has the owner that is named, by number or by name; "keep" leaves it root\'s', async () => {
    for (const [owner, expected] of [
      [theirs, theirs],
      ['nobody:root', '65534:0'],
      ['keep', '0:0'],
    ] as const) {
      const host = await makeHost({ remote, root: join(root, owner), ports: quiet, settings: { owner } });
      mkdirSync(host.root);
      chownSync(host.root, 1, 1);
      await host.agent.restore();
      expect(ownersBelow(host.store)).toEqual(new Set([expected]));
    }
    const host = await here('no-such-user');
    await expect(host.agent.restore()).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining('this host knows no such user') as string,
    });
  });

  it('is no obstacle to that user, also what an older version left', async () => {
    const host = await here('keep');
    await host.write({ a: 'a', 'd/b': 'b' });
    execFileSync('chown', ['-R', theirs, host.root]);
    await host.agent.backup({ force: true });
    expect(ownersBelow(join(host.root, '.store.sync-agent'))).toContain('0:0');
    await (await here()).agent.backup({ force: true });
    expect(ownersBelow(host.root)).toEqual(new Set([theirs]));
    // As that user, lock, state and the rest can be opened. In this process: the checkout may be closed to others.
    process.setegid?.(user.gid);
    process.seteuid?.(user.uid);
    try {
      const elsewhere = createMemoryRemote({ now: Date.now });
      const asUser = await makeHost({ remote: elsewhere, root: host.root });
      expect(await asUser.agent.backup({ force: true })).toMatchObject({ type: 'committed' });
    } finally {
      process.seteuid?.(0);
      process.setegid?.(0);
    }
  });

  it('is nothing that a link leads to', async () => {
    const secret = join(root, 'secret');
    writeFileSync(secret, 'of root', { mode: 0o600 });
    const store = join(root, 'theirs');
    mkdirSync(store);
    chownSync(store, user.uid, user.gid);
    const dir = join(root, '.theirs.sync-agent');
    mkdirSync(dir);
    linkSync(secret, join(dir, 'state.json'));
    const fs = await ownedFileSystem(nodeFileSystem, { store, dir }, { onWarning: () => undefined });
    expect(lstatSync(dir).uid).toBe(user.uid);
    expect(lstatSync(secret).uid).toBe(0);
    await (await fs.openForWrite(join(dir, 'state.json'))).close();
    expect(lstatSync(secret).uid).toBe(0);
    await fs.makeDirectory(join(dir, 'x/y'));
    expect(ownersBelow(join(dir, 'x'))).toEqual(new Set([theirs]));
    expect(dirname(dir)).toBe(root);
  });
});
