import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { link, mkdir, mkdtemp, open, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createRebuilder } from '../../../src/library/rebuilding/create-rebuilder.ts';
import type { Rebuild } from '../../../src/library/rebuilding/create-rebuilder.ts';
import { openBuildPlace } from '../../../src/home/build-place.ts';
import { locateHome } from '../../../src/home/home.ts';
import type { AgentPorts } from '../../../src/in-process/create-agent.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { SyncAgentError } from '../../../src/platform/errors.ts';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { fullDisk } from '../../support/full-disk.ts';
import { forEachEffect } from '../../support/each-effect.ts';
import { fastTmp, makeHost, readTree } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';
import { passThrough } from '../../support/race.ts';

const old = { 'a.txt': 'old a', 'sub/b.txt': 'old b' };
const built = { 'a.txt': 'new a', 'more/c.txt': 'new c' };
const quiet: Partial<AgentPorts> = {
  diskSpace: async () => ({ freeBytes: 1e12, totalBytes: 1e12 }),
  findStoreUsers: async () => [],
};

let remote: Remote;
let host: Host;
beforeEach(async () => {
  remote = createMemoryRemote({ now: Date.now });
  host = await makeHost({ remote, ports: quiet });
  await host.write(old);
});
afterEach(() => host.remove());

async function rebuilding(
  ports: Partial<AgentPorts> = {},
  given = remote,
  root = host.root,
): Promise<{ agent: Host; rebuild: Rebuild }> {
  const all = { ...quiet, ...ports };
  const agent = await makeHost({ remote: given, root, ports: all });
  const { store, events } = agent;
  const rebuild = createRebuilder(
    { store, remote: 'file:///unused', host: 'tester' },
    { calls: agent.agent, clock: systemClock, emit: (event) => events.push(event), ...all },
  );
  return { agent, rebuild };
}

const fill =
  (files: Readonly<Record<string, string>>) =>
  async (dir: string): Promise<void> => {
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(dir, path)), { recursive: true });
      await writeFile(join(dir, path), text);
    }
  };

const leftovers = async (root = host.root): Promise<readonly string[]> =>
  (await readdir(join(root, '.store.sync-agent'))).filter((name) => ['build', 'staging'].includes(name));

describe('a store that is built aside', () => {
  it('takes the place of the old one, which stays as a snapshot and a rollback copy; the next backup is its child', async () => {
    const { rebuild } = await rebuilding();
    const result = await rebuild(async (dir) => {
      expect(await readdir(dir)).toEqual([]);
      expect(await host.read()).toEqual(old);
      await fill(built)(dir);
    });
    expect(result).toMatchObject({ type: 'rebuilt', files: 2, bytes: 10, bytesBefore: 10, records: 2 });
    expect(await host.read()).toEqual(built);
    const kept = join(host.root, '.store.sync-agent', 'rollback', result.rollbackCopy ?? 'none');
    expect(await readTree(kept)).toEqual(old);
    expect(await leftovers()).toEqual([]);
    const next = await host.agent.backup();
    expect(next).toMatchObject({ type: 'committed', parent: result.snapshot, diverged: [] });
    const bare = await makeHost({ remote, ports: quiet });
    await bare.agent.restore({ snapshot: result.snapshot });
    expect(await bare.read()).toEqual(old);
    await bare.remove();
    const [entry] = await host.agent.operationLog();
    expect(entry).toMatchObject({
      operation: 'rebuild',
      state: 'done',
      outcome: 'rebuilt',
      snapshot: result.snapshot,
    });
  });

  it('is compared with a snapshot in the remote if this host has no record of one', async () => {
    await host.agent.backup();
    for (const name of await readdir(join(host.root, '.store.sync-agent')))
      if (name.startsWith('parent-')) await rm(join(host.root, '.store.sync-agent', name));
    const { rebuild } = await rebuilding();
    await expect(rebuild(fill({ a: '1' }))).rejects.toMatchObject({ code: 'REFUSED' });
    expect(await host.read()).toEqual(old);
  });

  it('keeps no rollback copy if that is asked for, and the snapshot all the same', async () => {
    const { rebuild } = await rebuilding();
    const result = await rebuild(fill(built), { skipBackup: true });
    expect(result.rollbackCopy).toBeUndefined();
    expect(await host.agent.rollbackCopies()).toEqual([]);
    expect((await host.agent.list()).map(({ id }) => id)).toEqual([result.snapshot]);
  });

  it('may be much smaller if that is allowed, and is then backed up at once', async () => {
    const { rebuild } = await rebuilding();
    const { snapshot } = await rebuild(fill({ a: '1' }), { allowShrink: true });
    const [, newest] = await host.agent.list();
    expect(newest).toMatchObject({ bytes: 1, parent: snapshot });
    expect(await host.agent.backup()).toMatchObject({ type: 'unchanged', id: newest?.id });
  });

  it('gets the permissions of the store', async () => {
    await nodeFileSystem.setAttributes(host.store, { mode: 0o750 });
    const { rebuild } = await rebuilding();
    await rebuild(fill(built));
    const { mode } = await import('node:fs/promises').then(({ stat }) => stat(host.store));
    expect(mode & 0o777).toBe(0o750);
  });
});

describe('a build that is no good leaves the store byte for byte', () => {
  const cases: readonly (readonly [string, string, (dir: string) => Promise<unknown>])[] = [
    ['nothing was built', 'REFUSED', async () => undefined],
    ['it has much less', 'REFUSED', fill({ 'a.txt': 'x' })],
    ['it holds a link', 'REFUSED', (dir) => fill(built)(dir).then(() => symlink('/etc', join(dir, 'etc')))],
    [
      'a file of it is one of the store, too',
      'REFUSED',
      (dir) => fill(built)(dir).then(() => link(join(host.store, 'sub/b.txt'), join(dir, 'b.txt'))),
    ],
    [
      'its directory became a link to another',
      'REFUSED',
      async (dir) => {
        await fill(built)(join(host.root, 'elsewhere'));
        await rm(dir, { recursive: true });
        await symlink(join(host.root, 'elsewhere'), dir);
      },
    ],
    ['its directory is gone', 'NOT_FOUND', (dir) => rm(dir, { recursive: true })],
    [
      'its database is damaged',
      'STORE_CORRUPT',
      async (dir) => {
        const database = new Database(join(dir, 'app.db'));
        database.exec('CREATE TABLE t (x); INSERT INTO t VALUES (randomblob(20000))');
        database.close();
        const file = await open(join(dir, 'app.db'), 'r+');
        await file.write(Buffer.alloc(4096, 7), 0, 4096, 4096);
        await file.close();
      },
    ],
  ];
  it.each(cases)('%s: %s', async (_, code, build) => {
    const { rebuild } = await rebuilding();
    await expect(rebuild(build)).rejects.toMatchObject({ code });
    expect(await host.read()).toEqual(old);
    expect(await leftovers()).toEqual([]);
    const [entry] = await host.agent.operationLog();
    expect(entry).toMatchObject({ operation: 'rebuild', state: 'failed', error: { code } });
  });

  it('nothing was built: not even where a smaller store is allowed', async () => {
    const { rebuild } = await rebuilding();
    await expect(rebuild(() => undefined, { allowShrink: true })).rejects.toMatchObject({ code: 'REFUSED' });
    expect(await host.read()).toEqual(old);
    // Before the snapshot is made.
    expect(await host.agent.list()).toEqual([]);
  });

  it('the builder throws: its own error comes out', async () => {
    const { rebuild } = await rebuilding();
    const mine = new TypeError('mine');
    await expect(rebuild(() => Promise.reject(mine))).rejects.toBe(mine);
    expect(await host.read()).toEqual(old);
    expect(await leftovers()).toEqual([]);
  });

  it('no snapshot of the old store can be made', async () => {
    const broken: Remote = {
      ...passThrough(remote),
      put: async () => {
        throw new SyncAgentError('REMOTE_UNREACHABLE', 'Cannot reach it');
      },
    };
    const { rebuild } = await rebuilding({}, broken);
    await expect(rebuild(fill(built))).rejects.toMatchObject({
      code: 'REMOTE_UNREACHABLE',
      message: expect.stringContaining('no snapshot of it could be made first') as string,
    });
    expect(await host.read()).toEqual(old);
  });

  it('the disk gets full at any change before the journal is written', async () => {
    let journaled = 0;
    await forEachEffect(async (n) => {
      const root = await mkdtemp(join(fastTmp, 'sync-agent-rebuild-'));
      const own = createMemoryRemote({ now: Date.now });
      const one = await makeHost({ remote: own, root, ports: quiet });
      await one.write(old);
      await one.agent.backup();
      const disk = fullDisk({ failAt: n, error: 'ENOSPC' });
      const { rebuild } = await rebuilding({ fs: disk.fs }, own, root);
      const error = await rebuild(fill(built)).then(
        () => undefined,
        (cause: unknown) => cause,
      );
      const isJournaled = disk.changes.some((change) => /^rename .*journal\.json/.test(change));
      if (isJournaled) journaled += 1;
      // A full disk under the operation log alone stops nothing.
      else if (error !== undefined) {
        expect(error).toMatchObject({ code: 'DISK_FULL' });
        expect(await one.read()).toEqual(old);
      }
      await one.agent.assertSound();
      expect([old, built]).toContainEqual(await one.read());
      expect(await leftovers(root)).toEqual([]);
      await one.remove();
      return disk.hasFailed();
    });
    expect(journaled).toBeGreaterThan(0);
  });
});

describe('before anything is built', () => {
  const never = async (): Promise<void> => {
    throw new Error('it was built');
  };

  it('a disk that could not hold the new store is an error', async () => {
    const { rebuild } = await rebuilding({ diskSpace: async () => ({ freeBytes: 1000, totalBytes: 1e6 }) });
    await expect(rebuild(never)).rejects.toMatchObject({ code: 'DISK_FULL' });
  });

  it('there has to be a store', async () => {
    await rm(host.store, { recursive: true });
    const { rebuild } = await rebuilding();
    await expect(rebuild(never)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(existsSync(join(host.root, '.store.sync-agent', 'build'))).toBe(false);
  });

  it('another rebuild has to be over', async () => {
    const { rebuild } = await rebuilding();
    await rebuild(async (dir) => {
      await expect(rebuild(never)).rejects.toMatchObject({ code: 'BUSY' });
      await fill(built)(dir);
    });
    expect(await host.read()).toEqual(built);
  });
});

describe('files that are open', () => {
  /** Has a file open until it is told to end. */
  const opener = async (path: string) => {
    const child = spawn('sh', ['-c', 'exec 3<>"$0"; echo open; read _', path], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    return { pid: child.pid ?? 0, end: async () => (child.stdin.end(), once(child, 'exit')) };
  };
  const { findStoreUsers: _, ...real } = quiet;
  const withRealUsers = async () => {
    const { findStoreUsers } = await import('../../../src/stores/capture/in-use.ts');
    return rebuilding({ ...real, findStoreUsers: (store) => findStoreUsers(store) });
  };

  it('of the build are told with the process that has them, and nothing is swapped', async () => {
    const { rebuild } = await withRealUsers();
    let builder: Awaited<ReturnType<typeof opener>> | undefined;
    const build = async (dir: string): Promise<void> => {
      await fill(built)(dir);
      builder = await opener(join(dir, 'a.txt'));
    };
    await expect(rebuild(build)).rejects.toMatchObject({
      code: 'BUSY',
      message: expect.stringMatching(/pid \d+ \(sh .*still has the build open/) as string,
    });
    await builder?.end();
    expect(await host.agent.list()).toEqual([]);
    expect(await host.read()).toEqual(old);
    expect(await leftovers()).toEqual([]);
  });

  it('of the old store are waited for, as long as that is asked for', async () => {
    const { rebuild, agent } = await withRealUsers();
    const server = await opener(join(host.store, 'a.txt'));
    await expect(rebuild(fill(built))).rejects.toMatchObject({
      code: 'BUSY',
      message: expect.stringContaining(`pid ${server.pid}`) as string,
    });
    expect(await host.read()).toEqual(old);
    const waiting = rebuild(fill(built), { waitMs: 60_000 });
    while (
      !agent.events.some((event) => event.type === 'warning' && event.message.includes('waiting for it'))
    )
      await new Promise((resolve) => setTimeout(resolve, 5));
    await server.end();
    expect(await waiting).toMatchObject({ type: 'rebuilt' });
    expect(await host.read()).toEqual(built);
  });

  it('of the old store between the check and the swap: BUSY, and who waits gets the build', async () => {
    let looks = 0;
    const user = { pid: 4711, command: 'chroma run', executable: undefined, mayWrite: true };
    const { rebuild } = await rebuilding({
      // The last look at the store comes right before the swap.
      findStoreUsers: async (dir) => (dir === host.store && (looks += 1) === 4 ? [user] : []),
    });
    await expect(rebuild(fill(built), { waitMs: 60_000 })).resolves.toMatchObject({ type: 'rebuilt' });
    expect(looks).toBeGreaterThan(4);
    expect(await host.read()).toEqual(built);
  });

  it('and a build that is still written is not swapped in', async () => {
    let dirOfBuild = '';
    const { rebuild } = await rebuilding({
      fs: {
        ...nodeFileSystem,
        sync: async (path) => {
          if (path.endsWith('/more/c.txt')) await writeFile(path, 'new c, and more');
          await nodeFileSystem.sync(path);
        },
      },
    });
    await expect(
      rebuild((dir) => {
        dirOfBuild = dir;
        return fill(built)(dir);
      }),
    ).rejects.toMatchObject({ code: 'BUSY', message: expect.stringContaining('still writes') as string });
    expect(await host.read()).toEqual(old);
    expect(existsSync(dirOfBuild)).toBe(false);
  });
});

describe('the directory of a build', () => {
  it('is left alone by other operations while it is built, and removed by the next one after a kill', async () => {
    const home = await locateHome(host.store);
    const place = await openBuildPlace(nodeFileSystem, home, 'feed');
    await fill(built)(place.dir);
    await host.agent.backup();
    expect(await readTree(place.dir)).toEqual(built);
    await place.close();
    await fill(built)(place.dir);
    await host.agent.backup();
    expect(await leftovers()).toEqual([]);
  });
});
