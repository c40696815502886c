import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { AgentPorts } from '../../src/in-process/create-agent.ts';
import { SyncAgentError, isSyncAgentError } from '../../src/platform/errors.ts';
import { createMemoryRemote } from '../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../src/remotes/remote.ts';
import { nodeFileSystem } from '../../src/platform/file-system.ts';
import type { FileSystem } from '../../src/platform/file-system.ts';
import { locateHome } from '../../src/home/home.ts';
import { forEachEffect } from '../support/each-effect.ts';
import { fastTmp, makeHost, readTree } from '../support/host.ts';
import type { Host } from '../support/host.ts';
import { fullDisk } from '../support/full-disk.ts';
import type { DiskError } from '../support/full-disk.ts';

const MiB = 1024 * 1024;
const old = { 'a.txt': 'old a', 'sub/b.txt': 'same', gone: 'only in old' };
const fresh = { 'a.txt': 'new a!', 'sub/b.txt': 'same', 'more/c.txt': 'only in new' };
const quiet: Partial<AgentPorts> = {
  diskSpace: async () => ({ freeBytes: 1e12, totalBytes: 1e12 }),
  findStoreUsers: async () => [],
};

interface Scenario {
  readonly name: string;
  readonly ports?: (root: string) => Partial<AgentPorts>;
  readonly prepare: (host: Host, other: Host) => Promise<unknown>;
  readonly run: (host: Host) => Promise<unknown>;
  /** What the store holds when the disk is well again and the same was run once more. */
  readonly outcomes: readonly Record<string, string>[];
}

/** The host holds `old` in step with the remote, whose newest snapshot holds `fresh`. */
async function behind(host: Host, other: Host): Promise<void> {
  await host.write(old);
  await host.agent.backup();
  await other.agent.restore();
  await rm(join(other.store, 'gone'));
  await other.write(fresh);
  await other.agent.backup();
}

const mounted = (root: string): Partial<AgentPorts> => {
  const store = join(root, 'store');
  return { locateHome: async () => ({ store, dir: join(store, '.sync-agent'), swap: 'entries' }) };
};

/** An agent's backup copies the store. */
const asAgent = { local: { minIntervalMs: 0 } };

const scenarios: readonly Scenario[] = [
  {
    name: 'a backup that reads the store where it lies',
    prepare: (host) => host.write(old),
    run: (host) => host.agent.backup(),
    outcomes: [old],
  },
  {
    name: 'a backup that copies the store first',
    prepare: (host) => host.write(old),
    run: (host) => host.agent.backup(asAgent),
    outcomes: [old],
  },
  {
    name: 'a backup that finds nothing changed',
    prepare: async (host) => {
      await host.write(old);
      await host.agent.backup();
      await host.write(old);
    },
    run: (host) => host.agent.backup(),
    outcomes: [old],
  },
  {
    name: 'a restore on a bare machine',
    prepare: async (_host, other) => {
      await other.write(fresh);
      await other.agent.backup();
    },
    run: (host) => host.agent.restore(),
    outcomes: [fresh],
  },
  ...(['rename', 'entries'] as const).flatMap((swap) =>
    [false, true].map((skipBackup) => ({
      name: `a restore over an older store, ${swap} swap${skipBackup ? ', without a rollback copy' : ''}`,
      ...(swap === 'entries' ? { ports: mounted } : {}),
      prepare: behind,
      run: (host: Host) => host.agent.restore({ skipBackup }),
      outcomes: [fresh],
    })),
  ),
  {
    name: 'a rollback',
    prepare: async (host, other) => {
      await behind(host, other);
      await host.agent.restore();
    },
    run: async (host) => {
      const [copy] = await host.agent.rollbackCopies();
      // Put back already, if this is the second run: any command that writes finishes the first.
      if (copy !== undefined && (await host.read())?.['gone'] === undefined)
        await host.agent.rollBack(copy.name);
      else await host.agent.restore();
    },
    outcomes: [old, fresh],
  },
];

const errors: readonly DiskError[] = ['ENOSPC', 'EDQUOT', 'EROFS', 'EACCES'];

describe.each(errors)('%s', (error) => {
  // Each pair of errors has one way through the code; names and numbers are all that tells its two apart.
  const some = error === 'EDQUOT' || error === 'EACCES' ? scenarios.slice(0, 4) : scenarios;
  it.each(some.map((scenario) => [scenario.name, scenario] as const))(
    'from any write on in %s loses nothing, and says what it is',
    async (_, scenario) => {
      expect(await forEachEffect((failAt) => failOnce(scenario, failAt, error))).toBeGreaterThan(3);
    },
  );
});

/** Resolves to whether the disk got so far as to fail. */
async function failOnce(scenario: Scenario, failAt: number, error: DiskError): Promise<boolean> {
  const remote = createMemoryRemote({ now: Date.now });
  const root = await mkdtemp(join(fastTmp, 'sync-agent-disk-'));
  const ports = { ...quiet, ...scenario.ports?.(root) };
  const other = await makeHost({ remote, ports: quiet });
  try {
    const host = await makeHost({ remote, root, ports });
    await scenario.prepare(host, other);
    const before = await host.read();
    const snapshots = (await other.agent.list()).length;
    const disk = fullDisk({ failAt, error });
    const suffering = await makeHost({ remote, root, ports, fs: disk.fs });
    const outcome: unknown = await scenario.run(suffering).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    if (!disk.hasFailed()) {
      if (outcome !== undefined) throw outcome as Error;
      return false;
    }
    // A failure after the commit point may be no failure of the operation; every other one names its kind.
    if (outcome !== undefined) {
      if (!(outcome instanceof SyncAgentError)) throw new Error('a raw error came out', { cause: outcome });
      expect([failAt, outcome.code, outcome.message]).toEqual([
        failAt,
        error === 'ENOSPC' || error === 'EDQUOT' ? 'DISK_FULL' : 'DENIED',
        expect.stringMatching(/^Cannot /),
      ]);
      if (outcome.code === 'DISK_FULL') expect(outcome.message).toMatch(/[0-9]+ (bytes )?are free/);
    }
    await expectNothingLost(root, before, scenario);

    // The disk is well again: the same command, once more.
    const well = await makeHost({ remote, root, ports });
    await scenario.run(well).catch((thrown: unknown) => {
      // A replacement in place that was interrupted: only a restore ends it.
      if (isSyncAgentError(thrown, 'STORE_CORRUPT')) return well.agent.restore();
      // A rollback that was interrupted late: this run has finished it, and its copy is the store.
      if (!isSyncAgentError(thrown, 'NOT_FOUND') || scenario.name !== 'a rollback') throw thrown;
      return undefined;
    });
    expect(scenario.outcomes).toContainEqual(await well.read());
    expect((await well.agent.verify({ all: true, readData: true })).isSound).toBe(true);
    expect((await other.agent.list()).length).toBeGreaterThanOrEqual(snapshots);
    const { dir } = await (ports.locateHome ?? locateHome)(join(root, 'store'));
    const left = await readdir(dir);
    expect(left).not.toContain('staging');
    expect(left).not.toContain('journal.json');
    return true;
  } catch (thrown) {
    throw new Error(`${error} at change ${failAt} of ${scenario.name}`, { cause: thrown });
  } finally {
    await rm(root, { recursive: true, force: true });
    await other.remove();
  }
}

/** Every byte of the old store is somewhere below the machine's root, or the remote has it. */
async function expectNothingLost(
  root: string,
  before: Record<string, string> | undefined,
  scenario: Scenario,
): Promise<void> {
  const everything = Object.values((await readTree(root)) ?? {});
  const inside = Object.values((await readTree(join(root, 'store', '.sync-agent', 'rollback'))) ?? {});
  const store = (await readTree(join(root, 'store'))) ?? {};
  const isReplaced = scenario.outcomes.some((tree) =>
    Object.entries(tree).every(([path, text]) => store[path] === text),
  );
  if (isReplaced || scenario.name.includes('restore over')) return;
  for (const text of Object.values(before ?? {})) expect([...everything, ...inside]).toContain(text);
}

describe('a full disk', () => {
  it('is answered by replacing in place only where the remote has every byte of the store', async () => {
    for (const isInRemote of [true, false]) {
      const { host, other, root } = await pair();
      try {
        await behind(host, other);
        if (!isInRemote) await host.write({ 'a.txt': 'mine alone' });
        // Fails while it stages; in place, file by file, there is room.
        const cramped = await makeHost({ remote: remoteOf(host), root, ports: quiet, fs: noRoomInStaging() });
        const restoring = cramped.agent.restore({ force: !isInRemote });
        if (isInRemote) {
          expect(await restoring).toMatchObject({ type: 'restored', rollbackCopy: undefined });
          expect(await cramped.read()).toEqual(fresh);
        } else {
          await expect(restoring).rejects.toMatchObject({
            code: 'DISK_FULL',
            exitCode: 9,
            message: expect.stringMatching(/needs [0-9]+ bytes, [0-9]+ are free/) as string,
            remedy: expect.stringContaining('--skip-backup') as string,
          });
          expect(await cramped.read()).toEqual({ ...old, 'a.txt': 'mine alone' });
        }
      } finally {
        await host.remove();
        await other.remove();
      }
    }
  });

  /** A host whose disk says that so much is free, beside a remote that holds a snapshot of 1000 bytes. */
  async function onCrampedHost(
    freeBytes: number,
    check: (cramped: Host, root: string) => Promise<void>,
  ): Promise<void> {
    const { host, other, root } = await pair();
    try {
      await other.write({ big: 'x'.repeat(1000) });
      await other.agent.backup();
      const diskSpace = async () => ({ freeBytes, totalBytes: 1e9 });
      await check(await makeHost({ remote: remoteOf(host), root, ports: { ...quiet, diskSpace } }), root);
    } finally {
      await host.remove();
      await other.remove();
    }
  }

  it('by count stops a restore before it writes, with what is needed, free and missing', () =>
    onCrampedHost(16 * MiB + 400, async (cramped) => {
      await expect(cramped.agent.restore()).rejects.toMatchObject({
        code: 'DISK_FULL',
        message: expect.stringContaining(
          `needs 1000 bytes and ${16 * MiB} that stay free, ${16 * MiB + 400} are free`,
        ) as string,
        // There is no store that could be replaced.
        remedy: 'Free some space',
      });
      await expect(cramped.agent.restore()).rejects.toThrow('600 are missing');
      expect(await cramped.read()).toBeUndefined();
    }));

  it('by count stops a restore to a directory, by numbers that add up, and names what helps', () =>
    onCrampedHost(MiB, async (cramped, root) => {
      await expect(cramped.agent.restoreTo(join(root, 'look'))).rejects.toMatchObject({
        code: 'DISK_FULL',
        message: expect.stringMatching(
          new RegExp(
            `needs 1000 bytes and ${16 * MiB} that stay free, ${MiB} are free at ".*", ${15 * MiB + 1000} are missing$`,
          ),
        ) as string,
        remedy: 'Free some space, or name a directory on another disk',
      });
    }));

  it('in the middle of a swap keeps staging, which is the new store by then', async () => {
    const { host, other, root } = await pair();
    try {
      await behind(host, other);
      let isFull = true;
      const failing: FileSystem = {
        ...nodeFileSystem,
        rename: async (from, to) => {
          if (isFull && to === join(root, 'store'))
            throw Object.assign(new Error('ENOSPC: rename'), { code: 'ENOSPC' });
          await nodeFileSystem.rename(from, to);
        },
      };
      const cramped = await makeHost({ remote: remoteOf(host), root, ports: quiet, fs: failing });
      await expect(cramped.agent.restore()).rejects.toMatchObject({ code: 'DISK_FULL' });
      expect(await cramped.read()).toBeUndefined();
      isFull = false;
      // Without the remote: what the journal promises is on this disk.
      const offline = await makeHost({ remote: unreachable, root, ports: quiet });
      await offline.agent.restore().catch((error: unknown) => {
        if (!isSyncAgentError(error, 'REMOTE_UNREACHABLE')) throw error;
      });
      expect(await offline.read()).toEqual(fresh);
    } finally {
      await host.remove();
      await other.remove();
    }
  });
});

describe('a staging directory that vanishes', () => {
  it('is told at once by a backup, which commits nothing', async () => {
    const { host, other, root } = await pair();
    try {
      await host.write(old);
      let isGone = false;
      const vanishing: FileSystem = {
        ...nodeFileSystem,
        copy: async (from, to, options) => {
          if (!isGone) await rm(join(root, '.store.sync-agent/staging'), { recursive: true, force: true });
          isGone = true;
          await nodeFileSystem.copy(from, to, options);
        },
      };
      const started = performance.now();
      const victim = await makeHost({ remote: remoteOf(host), root, ports: quiet, fs: vanishing });
      await expect(victim.agent.backup(asAgent)).rejects.toMatchObject({
        code: 'NOT_FOUND',
        message: expect.stringContaining('vanished') as string,
      });
      expect(performance.now() - started).toBeLessThan(20_000);
      expect(await host.agent.list()).toEqual([]);
      expect((await host.agent.backup()).type).toBe('committed');
    } finally {
      await host.remove();
      await other.remove();
    }
  });

  it('under a restore leaves the old store, and the next one works', async () => {
    const { host, other, root } = await pair();
    try {
      await behind(host, other);
      let isGone = false;
      const vanishing: FileSystem = {
        ...nodeFileSystem,
        setAttributes: async (path, attributes) => {
          if (!isGone) await rm(join(root, '.store.sync-agent/staging'), { recursive: true, force: true });
          isGone = true;
          await nodeFileSystem.setAttributes(path, attributes);
        },
      };
      const victim = await makeHost({ remote: remoteOf(host), root, ports: quiet, fs: vanishing });
      await expect(victim.agent.restore()).rejects.toMatchObject({
        code: 'NOT_FOUND',
        message: expect.stringContaining('staging') as string,
      });
      expect(await host.read()).toEqual(old);
      await host.agent.restore();
      expect(await host.read()).toEqual(fresh);
    } finally {
      await host.remove();
      await other.remove();
    }
  });
});

const isRoot = process.getuid?.() === 0;
if (!isRoot && process.env['SYNC_AGENT_TEST_REQUIRE_ROOT'] === '1')
  throw new Error('SYNC_AGENT_TEST_REQUIRE_ROOT=1, but this is not root: no small disk can be mounted');
if (!isRoot)
  process.stderr.write('\nNOT RUN: real full disks and mount points, which need root to mount a tmpfs\n');

describe.runIf(isRoot)('on a real small disk', () => {
  it('a backup of a store that nobody has open needs no room for an image', async () => {
    await onDisk(16, async (mount) => {
      const { host } = await hostOn(mount);
      await fill(host.store, 10);
      const before = await host.read();
      expect((await host.agent.backup()).type).toBe('committed');
      await rm(host.store, { recursive: true });
      await host.agent.restore();
      expect(await host.read()).toEqual(before);
    });
  });

  it('a backup without room for its image says what it needs and leaves no staging behind', async () => {
    await onDisk(16, async (mount) => {
      const { host, remote } = await hostOn(mount);
      await fill(host.store, 10);
      const bytes = await sizeOf(host.store);
      await expect(host.agent.backup(asAgent)).rejects.toMatchObject({
        code: 'DISK_FULL',
        exitCode: 9,
        message: expect.stringMatching(
          new RegExp(`needs ${bytes} bytes .*, [0-9]+ are free, [0-9]+ are missing`),
        ) as string,
      });
      expect(await readdir(join(mount, '.store.sync-agent'))).not.toContain('staging');
      expect(await keysOf(remote)).toEqual([]);
      await rm(join(host.store, 'f0'));
      await rm(join(host.store, 'f1'));
      await rm(join(host.store, 'f2'));
      expect((await host.agent.backup()).type).toBe('committed');
    });
  });

  it('a restore that runs full replaces in place by itself where the remote has the old store', async () => {
    await onDisk(16, async (mount) => {
      const { host, remote } = await hostOn(mount);
      const other = await makeHost({ remote, ports: quiet });
      try {
        await fill(other.store, 9);
        await other.agent.backup();
        await host.agent.restore();
        await fill(other.store, 9);
        await other.agent.backup();
        // 7 MiB are free, by count there is room for ever: a write is what tells.
        const result = await host.agent.restore();
        expect(result).toMatchObject({ type: 'restored', rollbackCopy: undefined });
        expect(await digestOf(host.store)).toBe(await digestOf(other.store));
        // The same with bytes that are nowhere else: nothing is touched.
        await writeFile(join(host.store, 'f0'), 'mine alone');
        const before = await digestOf(host.store);
        await fill(other.store, 9);
        await other.agent.backup();
        await expect(host.agent.restore({ force: true })).rejects.toMatchObject({ code: 'DISK_FULL' });
        expect(await digestOf(host.store)).toBe(before);
      } finally {
        await other.remove();
      }
    });
  });

  it('a full disk down to the last byte is a clear error for every command that writes', async () => {
    await onDisk(4, async (mount) => {
      const { host } = await hostOn(mount);
      await host.write({ a: 'content' });
      await host.agent.backup();
      await host.write({ a: 'changed' });
      await writeFile(join(mount, 'filler'), Buffer.alloc(4 * MiB)).catch(() => undefined);
      for (const run of [() => host.agent.backup(), () => host.agent.restore({ force: true })])
        await expect(run()).rejects.toMatchObject({
          code: 'DISK_FULL',
          message: expect.stringMatching(/are free/) as string,
        });
      expect(await host.read()).toEqual({ a: 'changed' });
      await rm(join(mount, 'filler'));
      expect((await host.agent.backup()).type).toBe('committed');
    });
  });

  it('a read-only file system is a refusal, and reading commands work', async () => {
    await onDisk(4, async (mount) => {
      const { host } = await hostOn(mount);
      await host.write({ a: 'content' });
      await host.agent.backup();
      execFileSync('mount', ['-o', 'remount,ro', mount]);
      await expect(host.agent.backup({ force: true })).rejects.toMatchObject({ code: 'DENIED', exitCode: 7 });
      await expect(host.agent.restore({ force: true })).rejects.toMatchObject({ code: 'DENIED' });
      expect((await host.agent.status()).relation).toBe('up-to-date');
      expect((await host.agent.verify({ readData: true })).isSound).toBe(true);
    });
  });

  it('a store that is a mount point is backed up, restored entry by entry, and rolled back', async () => {
    await onDisk(64, async (mount) => {
      const remote = createMemoryRemote({ now: Date.now });
      const root = await mkdtemp(join(tmpdir(), 'sync-agent-mount-'));
      const other = await makeHost({ remote, ports: quiet });
      try {
        const store = join(root, 'store');
        await mkdir(store);
        execFileSync('mount', ['--bind', mount, store]);
        try {
          const host = await makeHost({ remote, root, ports: quiet });
          expect(await locateHome(store)).toMatchObject({ swap: 'entries', dir: join(store, '.sync-agent') });
          await behind(host, other);
          expect((await stat(join(store, '.sync-agent'))).mode & 0o777).toBe(0o700);
          expect(await host.agent.restore()).toMatchObject({ type: 'restored' });
          expect(await host.read()).toEqual(fresh);
          expect((await host.agent.backup()).type).toBe('unchanged');
          const [copy] = await host.agent.rollbackCopies();
          await host.agent.rollBack(copy?.name ?? '');
          expect(await host.read()).toEqual(old);
          // In place, too.
          expect(await host.agent.restore({ force: true, skipBackup: true })).toMatchObject({
            type: 'restored',
          });
          expect(await host.read()).toEqual(fresh);
        } finally {
          execFileSync('umount', [store]);
        }
        expect(await readdir(store)).toEqual([]);
      } finally {
        await rm(root, { recursive: true, force: true });
        await other.remove();
      }
    });
  });
});

const remotes = new WeakMap<Host, Remote>();

async function pair(): Promise<{ readonly host: Host; readonly other: Host; readonly root: string }> {
  const remote = createMemoryRemote({ now: Date.now });
  const [host, other] = [await makeHost({ remote, ports: quiet }), await makeHost({ remote, ports: quiet })];
  remotes.set(host, remote);
  return { host, other, root: host.root };
}

function remoteOf(host: Host): Remote {
  const remote = remotes.get(host);
  if (remote === undefined) throw new Error('this host is of no pair');
  return remote;
}

async function hostOn(root: string): Promise<{ readonly host: Host; readonly remote: Remote }> {
  const remote = createMemoryRemote({ now: Date.now });
  // Counts that lie upwards, as they do where a quota rules.
  const counted = { findStoreUsers: async () => [], diskSpace: lyingOnce() };
  return { host: await makeHost({ remote, root, ports: counted }), remote };
}

/** Says that there is room until a write has failed. */
function lyingOnce(): NonNullable<AgentPorts['diskSpace']> {
  let asked = 0;
  return async (path) => {
    asked += 1;
    const { diskSpace } = await import('../../src/platform/disk-space.ts');
    const real = await diskSpace(path);
    return path.endsWith('store') && asked % 2 === 1
      ? { ...real, freeBytes: real.freeBytes + 64 * MiB }
      : real;
  };
}

function noRoomInStaging(): FileSystem {
  return {
    ...nodeFileSystem,
    openForWrite: async (path, options) => {
      const file = await nodeFileSystem.openForWrite(path, options);
      if (!path.includes('/data/')) return file;
      return {
        ...file,
        write: async () => {
          throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
        },
      };
    },
  };
}

const unreachable = new Proxy({} as Remote, {
  get: (_, name) => {
    if (name === 'location') return 'memory:';
    return () => {
      throw new SyncAgentError('REMOTE_UNREACHABLE', 'Cannot reach the remote: there is none');
    };
  },
});

async function onDisk(mebibytes: number, work: (mount: string) => Promise<void>): Promise<void> {
  const mount = await mkdtemp(join(tmpdir(), 'sync-agent-tmpfs-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', mount]);
  try {
    await work(mount);
  } finally {
    execFileSync('umount', [mount]);
    await rm(mount, { recursive: true });
  }
}

async function fill(dir: string, files: number): Promise<void> {
  await mkdir(dir, { recursive: true });
  for (let n = 0; n < files; n += 1) await writeFile(join(dir, `f${n}`), randomBytes(MiB));
}

async function sizeOf(dir: string): Promise<number> {
  const names = await readdir(dir);
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(dir, name))).size));
  return sizes.reduce((a, b) => a + b, 0);
}

async function digestOf(dir: string): Promise<string> {
  const hash = createHash('sha256');
  for (const name of (await readdir(dir)).toSorted())
    hash.update(`${name} `).update(await readFile(join(dir, name)));
  return hash.digest('hex');
}

async function keysOf(remote: Remote): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const page of remote.list('')) found.push(...page.objects.map((object) => object.key));
  return found;
}
