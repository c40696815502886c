import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { placeMendedCopy } from '../../src/engine/mending/mended-copy.ts';
import { lookAtStopped } from '../../src/engine/mending/stopped-store.ts';
import { locateHome } from '../../src/home/home.ts';
import { readJournal } from '../../src/home/journal.ts';
import { readState, writeState } from '../../src/home/state.ts';
import { openStoreAccess } from '../../src/in-process/store-access.ts';
import type { AgentPorts } from '../../src/in-process/create-agent.ts';
import { nodeFileSystem } from '../../src/platform/file-system.ts';
import type { FileSystem } from '../../src/platform/file-system.ts';
import { createMemoryRemote } from '../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../src/remotes/remote.ts';
import { cutEverywhere, untilCut } from '../support/cut-everywhere.ts';
import { forEachEffect } from '../support/each-effect.ts';
import { fullDisk } from '../support/full-disk.ts';
import { fastTmp, makeHost, readTree } from '../support/host.ts';
import type { Host } from '../support/host.ts';
import { passThrough } from '../support/race.ts';
import { poweredFileSystem } from '../support/power.ts';

const old = { 'a.txt': 'damaged a', 'sub/b.txt': 'same', gone: 'an orphan' };
const mended = { 'a.txt': 'mended a!', 'sub/b.txt': 'same', 'sub/new': 'built anew' };

const quiet: Partial<AgentPorts> = {
  diskSpace: async () => ({ freeBytes: 1e12, totalBytes: 1e12 }),
  findStoreUsers: async () => [],
};
const mountPoint = (root: string): Partial<AgentPorts> => {
  const store = join(root, 'store');
  return { locateHome: async () => ({ store, dir: join(store, '.sync-agent'), swap: 'entries' }) };
};

/** A host whose store is a snapshot's, on a remote of its own. */
async function prepared(ports: (root: string) => Partial<AgentPorts>): Promise<{
  readonly host: Host;
  readonly remote: Remote;
  readonly parent: string;
}> {
  const remote = createMemoryRemote({ now: Date.now });
  const root = await mkdtemp(join(fastTmp, 'sync-agent-mend-'));
  const host = await makeHost({ remote, root, ports: { ...quiet, ...ports(root) } });
  await host.write(old);
  const result = await host.agent.backup();
  return { host, remote, parent: result.type === 'committed' ? result.id : 'none' };
}

/** Changes the copy as SQLite does: past the file system that the engine was given. */
async function mend(
  { store, root }: Host,
  remote: Remote,
  ports: Partial<AgentPorts>,
  wrote: (path: string) => void = () => undefined,
): Promise<void> {
  const access = openStoreAccess(
    { store, remote: 'file:///unused', host: root },
    { ...quiet, ...ports, remote },
  );
  await access.writeWhole(
    'repair',
    async (context) => {
      await placeMendedCopy(context, await lookAtStopped(context, 'repair'), {
        rollbackCopies: 1,
        work: async (dir) => {
          for (const path of ['a.txt', 'sub/new'] as const) {
            await writeFile(join(dir, path), mended[path]);
            wrote(join(dir, path));
          }
          await rm(join(dir, 'gone'));
          return true;
        },
      });
    },
    undefined,
  );
}

/** Whatever was the store goes on: the next backup is a child of the same parent, or has nothing to do. */
async function expectOneOfBoth(
  host: Host,
  remote: Remote,
  ports: Partial<AgentPorts>,
  parent: string,
): Promise<void> {
  const again = await makeHost({ remote, root: host.root, ports: { ...quiet, ...ports } });
  // The first command after the cut finishes what the journal says.
  await again.agent.assertSound();
  const home = await (quiet.locateHome ?? ports.locateHome ?? locateHome)(host.store);
  expect(await readJournal(home)).toBeUndefined();
  const content = await again.read();
  expect([old, mended]).toContainEqual(content);
  const next = await again.agent.backup();
  if (content?.['a.txt'] === old['a.txt']) expect(next).toMatchObject({ type: 'unchanged', id: parent });
  else expect(next).toMatchObject({ type: 'committed', parent, diverged: [] });
}

describe.each([
  ['whole', () => ({})],
  ['entry by entry', mountPoint],
] as const)('a mended copy that is swapped in %s', (_, portsOf: (root: string) => Partial<AgentPorts>) => {
  it('leaves the old store or the new one wherever the power is cut, and the lineage of both', async () => {
    const effects = await cutEverywhere(async (power) => {
      const { host, remote, parent } = await prepared(portsOf);
      const ports = portsOf(host.root);
      try {
        const suffering = { ...ports, fs: poweredFileSystem(power) };
        await untilCut(
          power,
          mend(host, remote, suffering, (path) => power.wrote(path)),
        );
        if (power.isCut) await expectOneOfBoth(host, remote, ports, parent);
      } finally {
        await host.remove();
      }
    });
    expect(effects).toBeGreaterThan(30);
  });

  it('leaves the old store, to the byte, where the disk is full before the journal is written', async () => {
    let journaled = 0;
    await forEachEffect(async (n) => {
      const { host, remote, parent } = await prepared(portsOf);
      const ports = portsOf(host.root);
      const disk = fullDisk({ failAt: n, error: 'ENOSPC' });
      try {
        const error = await mend(host, remote, { ...ports, fs: disk.fs }).then(
          () => undefined,
          (cause: unknown) => cause,
        );
        if (!disk.hasFailed()) return false;
        const isJournaled = disk.changes.some((change) => /^rename .*journal\.json/.test(change));
        if (isJournaled) journaled += 1;
        else {
          expect(error).toMatchObject({ code: 'DISK_FULL' });
          expect(await host.read()).toEqual(old);
        }
        await expectOneOfBoth(host, remote, ports, parent);
        return true;
      } finally {
        await host.remove();
      }
    });
    expect(journaled).toBeGreaterThan(0);
  });
});

describe('a mended store', () => {
  it('has the parents that the old one had in every remote', async () => {
    const { host, remote, parent } = await prepared(() => ({}));
    const other = { ...passThrough(createMemoryRemote({ now: Date.now })), location: 'memory:other' };
    const elsewhere = await makeHost({ remote: other, root: host.root, ports: quiet });
    const second = await elsewhere.agent.backup();
    const home = await locateHome(host.store);
    const before = await readState(home);
    await mend(host, remote, {});
    const after = await readState(home);
    expect(Object.keys(after?.remotes ?? {})).toEqual(Object.keys(before?.remotes ?? {}));
    expect(await elsewhere.agent.backup()).toMatchObject({
      type: 'committed',
      parent: second.type === 'committed' ? second.id : '',
    });
    expect(await host.agent.backup()).toMatchObject({ type: 'committed', parent });
    await host.remove();
  });

  it.each([
    ['was committed', true],
    ['was not committed', false],
  ])('knows of a backup that was cut off before it knew its commit, and %s', async (_, isCommitted) => {
    const { host, remote, parent } = await prepared(() => ({}));
    const home = await locateHome(host.store);
    const before = await readState(home);
    await host.write({ ...old, 'a.txt': 'damaged later' });
    const later = await host.agent.backup();
    const latest = later.type === 'committed' ? later.id : '';
    const id = isCommitted ? latest : latest.replace(/^..../, '2001');
    const after = await readState(home);
    if (before === undefined || after === undefined) throw new Error('no state');
    const remotes = Object.fromEntries(
      Object.entries(isCommitted ? before.remotes : after.remotes).map(([name, record]) => [
        name,
        { ...record, pending: { id, fingerprint: after.remotes[name]?.fingerprint ?? null } },
      ]),
    );
    await writeState(nodeFileSystem, home, { ...after, remotes });
    expect(latest).not.toBe(parent);
    await mend(host, remote, {});
    // Written since: whatever it was, the mended store is none of the snapshots.
    expect(await host.agent.backup()).toMatchObject({ type: 'committed', parent: latest, diverged: [] });
    await host.remove();
  });

  it('is put aside as it was', async () => {
    const { host, remote } = await prepared(() => ({}));
    await mend(host, remote, {});
    const [copy] = await host.agent.rollbackCopies();
    expect(await readTree(join(host.root, '.store.sync-agent', 'rollback', copy?.name ?? ''))).toEqual(old);
    await host.remove();
  });

  it('is not put in its place if somebody wrote to the old one meanwhile', async () => {
    const { host, remote } = await prepared(() => ({}));
    const meddling: FileSystem = {
      ...nodeFileSystem,
      sync: async (path) => {
        if (path.endsWith('a.txt')) await writeFile(join(host.store, 'a.txt'), 'written meanwhile');
        await nodeFileSystem.sync(path);
      },
    };
    await expect(mend(host, remote, { fs: meddling })).rejects.toMatchObject({ code: 'BUSY' });
    expect(await readFile(join(host.store, 'a.txt'), 'utf8')).toBe('written meanwhile');
    await host.remove();
  });

  it.each([
    ['before it is copied', 0, []],
    ['before the swap', 1, ['capture']],
  ])('is BUSY if a process opens it %s', async (_, looks, phases) => {
    const { host, remote } = await prepared(() => ({}));
    const user = { pid: 4711, command: 'chroma run', executable: undefined, mayWrite: true };
    let asked = 0;
    const seen: string[] = [];
    const ports: Partial<AgentPorts> = {
      findStoreUsers: async () => (asked++ < looks ? [] : [user]),
      emit: (event) => event.type === 'phase' && seen.push(event.phase),
    };
    const busy = { code: 'BUSY', message: expect.stringContaining('4711') as string };
    await expect(mend(host, remote, ports)).rejects.toMatchObject(busy);
    expect(seen).toEqual(phases);
    expect(await host.read()).toEqual(old);
    await host.remove();
  });
});
