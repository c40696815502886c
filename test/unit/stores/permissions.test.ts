import { chmod, lstat, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import { createDirectoryRemote } from '../../../src/remotes/directory/directory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';
import type { FileSystem } from '../../../src/platform/file-system.ts';
import { locateHome, rollbackRoot, stagingRoot, statePath } from '../../../src/home/home.ts';
import { makeHost } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';

const modes = [0o600, 0o640, 0o644, 0o660, 0o666, 0o400, 0o755, 0o777] as const;
const nameOf = (mode: number): string => `mode-${mode.toString(8)}`;
const modeOf = async (path: string): Promise<string> => ((await lstat(path)).mode & 0o7777).toString(8);

let hosts: Host[];
let umask = 0;
beforeEach(() => {
  hosts = [];
  umask = process.umask();
});
afterEach(async () => {
  process.umask(umask);
  for (const each of hosts) await each.remove();
});

async function pair(fs?: FileSystem): Promise<readonly [Host, Host, Remote]> {
  const remote = createMemoryRemote({ now: Date.now });
  const [a, b] = [
    await makeHost({ remote }),
    await makeHost({ remote, ...(fs === undefined ? {} : { fs }) }),
  ];
  hosts.push(a, b);
  for (const mode of modes) await a.write({ [`sub/${nameOf(mode)}`]: nameOf(mode) });
  for (const mode of modes) await chmod(join(a.store, 'sub', nameOf(mode)), mode);
  return [a, b, remote];
}

describe('restored files', () => {
  it.each([0o000, 0o022, 0o077, 0o777])('keep their modes under umask %o', async (mask) => {
    const [a, b] = await pair();
    await a.agent.backup();
    process.umask(mask === 0o777 && process.getuid?.() !== 0 ? 0o077 : mask);
    await b.agent.restore();
    process.umask(umask);
    for (const mode of modes) expect(await modeOf(join(b.store, 'sub', nameOf(mode)))).toBe(mode.toString(8));
  });

  it('keep their modes when they are reused, replaced in place, and put back', async () => {
    const [a, b] = await pair();
    await a.agent.backup();
    await b.agent.restore();
    const path = join(a.store, 'sub', nameOf(0o644));
    await chmod(path, 0o600);
    await a.agent.backup();
    await b.agent.restore();
    expect(await modeOf(join(b.store, 'sub', nameOf(0o644)))).toBe('600');
    expect(await modeOf(join(b.store, 'sub', nameOf(0o755)))).toBe('755');
    const [copy] = await b.agent.rollbackCopies();
    await b.agent.rollBack(copy?.name ?? '');
    expect(await modeOf(join(b.store, 'sub', nameOf(0o644)))).toBe('644');
  });

  it('have the mode of the directory that they replace around them', async () => {
    const [a, b] = await pair();
    await a.agent.backup();
    await b.agent.restore();
    await chmod(b.store, 0o750);
    await a.write({ more: 'x' });
    await a.agent.backup();
    await b.agent.restore();
    expect(await modeOf(b.store)).toBe('750');
  });

  it.each([0o000, 0o022, 0o077])(
    'lie in directories that keep theirs under umask %o, the store itself too',
    async (mask) => {
      const [a, b] = await pair();
      await mkdir(join(a.store, 'empty'));
      await mkdir(join(a.store, 'sub/below'));
      await a.write({ 'sub/below/x': 'x' });
      const chosen = { '': 0o711, empty: 0o770, sub: 0o700, 'sub/below': 0o755 };
      for (const [path, mode] of Object.entries(chosen)) await chmod(join(a.store, path), mode);
      await a.agent.backup();
      process.umask(mask);
      await b.agent.restore();
      await b.agent.restoreTo(join(b.root, 'beside'));
      process.umask(umask);
      for (const store of [b.store, join(b.root, 'beside')])
        for (const [path, mode] of Object.entries(chosen))
          expect([path, await modeOf(join(store, path))]).toEqual([path, mode.toString(8)]);
    },
  );

  it('lie in directories that follow a change of modes alone, also in place, and keep the group they hand on', async () => {
    const [a, b, remote] = await pair();
    await a.agent.backup();
    await b.agent.restore();
    await chmod(join(a.store, 'sub'), 0o750);
    expect(await a.agent.backup()).toMatchObject({ type: 'committed' });
    await chmod(join(b.store, 'sub'), 0o2755);
    const cramped = await makeHost({
      remote,
      root: b.root,
      ports: { diskSpace: async () => ({ freeBytes: 2 ** 20, totalBytes: 2 ** 20 }) },
    });
    await cramped.agent.restore({ skipBackup: true, force: true });
    expect(cramped.events).toContainEqual(
      expect.objectContaining({ message: expect.stringContaining('replacing in place') as string }),
    );
    expect(await modeOf(join(b.store, 'sub'))).toBe('2750');
  });

  it('can be restored where their directory had no rights for its owner', async () => {
    const [a, b] = await pair();
    await chmod(join(a.store, 'sub'), 0o500);
    const { id } = (await a.agent.backup()) as { readonly id: string };
    expect(await b.agent.restore()).toMatchObject({ type: 'restored', id });
    expect(await modeOf(join(b.store, 'sub'))).toBe('700');
    expect(await b.agent.backup()).toMatchObject({ type: 'unchanged' });
    await chmod(join(a.store, 'sub'), 0o700);
    expect(await a.agent.backup()).toMatchObject({ type: 'unchanged' });
  });

  it('of a mount point or a chosen directory leave its mode alone, and that is no change', async () => {
    const [a, b] = await pair();
    await chmod(a.store, 0o700);
    await a.agent.backup();
    await b.agent.restore();
    await chmod(b.store, 0o2775);
    await a.write({ more: 'x' });
    await a.agent.backup();
    await b.agent.restore();
    expect(await modeOf(b.store)).toBe('2775');
    await chmod(b.store, 0o770);
    expect(await b.agent.backup()).toMatchObject({ type: 'unchanged' });
  });

  it('never get a set-uid, set-gid or sticky bit', async () => {
    const [a, b] = await pair();
    await chmod(join(a.store, 'sub', nameOf(0o755)), 0o6755);
    await a.agent.backup();
    await b.agent.restore();
    expect(await modeOf(join(b.store, 'sub', nameOf(0o755)))).toBe('755');
  });
});

describe('what the agent writes for itself', () => {
  it.each([0o000, 0o022])(
    'is for this user alone under umask %o: state, cache, rollback copies',
    async (mask) => {
      const [a, b] = await pair();
      process.umask(mask);
      await a.agent.backup();
      await b.agent.restore();
      await a.write({ more: 'x' });
      await a.agent.backup();
      await b.agent.restore();
      const home = await locateHome(b.store);
      expect(await modeOf(home.dir)).toBe('700');
      expect(await modeOf(rollbackRoot(home))).toBe('700');
      expect(await modeOf(statePath(home))).toBe('600');
      for (const name of (await readdir(home.dir)).filter((each) => each.endsWith('.json')))
        expect([name, await modeOf(join(home.dir, name))]).toEqual([name, '600']);
    },
  );

  it('is private from its first moment: staging, and every copy in it', async () => {
    const seen: string[] = [];
    const watched: FileSystem = {
      ...nodeFileSystem,
      copy: async (from, to, options) => {
        await nodeFileSystem.copy(from, to, options);
        seen.push(await modeOf(join(to, '..')), await modeOf(to));
      },
      openForWrite: async (path, options) => {
        const opened = await nodeFileSystem.openForWrite(path, options);
        if (path.includes('/staging/')) seen.push(await modeOf(path));
        return opened;
      },
    };
    process.umask(0);
    const [a, b] = await pair(watched);
    // As an agent's backup, which copies the store.
    await a.agent.backup({ local: { minIntervalMs: 0 } });
    await b.agent.restore();
    const home = await locateHome(b.store);
    const rooms: string[] = [];
    const c = await makeHost({
      remote: createMemoryRemote({ now: Date.now }),
      root: b.root,
      fs: {
        ...watched,
        copy: async (from, to, options) => {
          await watched.copy(from, to, options);
          rooms.push(await modeOf(stagingRoot(home)), await modeOf(home.dir));
        },
      },
    });
    await c.write({ 'sub/more': 'written since' });
    await c.agent.backup({ force: true, local: { minIntervalMs: 0 } });
    expect(seen.length).toBeGreaterThan(0);
    expect(new Set(seen)).toEqual(new Set(['600', '700']));
    expect(new Set(rooms)).toEqual(new Set(['700']));
  });

  it('is private in a directory remote, too', async () => {
    process.umask(0);
    const [a] = await pair();
    const path = join(a.root, 'remote');
    const remote = createDirectoryRemote({ path });
    const writer = await makeHost({ remote, root: a.root });
    await writer.agent.backup();
    for (const entry of await readdir(path, { recursive: true, withFileTypes: true })) {
      const mode = await modeOf(join(entry.parentPath, entry.name));
      expect([entry.name, mode]).toEqual([entry.name, entry.isDirectory() ? '700' : '600']);
    }
    expect(await modeOf(path)).toBe('700');
  });

  it('leaves no staging behind, whatever becomes of the run', async () => {
    const [a] = await pair();
    await mkdir(join(a.store, 'history'));
    await expect(a.agent.backup()).rejects.toMatchObject({ code: 'REFUSED' });
    const home = await locateHome(a.store);
    expect(await readdir(home.dir)).not.toContain('staging');
    await rm(join(a.store, 'history'), { recursive: true });
    await a.agent.backup();
    expect(await readdir(home.dir)).not.toContain('staging');
  });
});
