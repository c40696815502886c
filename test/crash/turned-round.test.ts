import { lstat, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { createMemoryRemote } from '../../src/remotes/memory/memory-remote.ts';
import { nodeFileSystem } from '../../src/platform/file-system.ts';
import type { FileSystem } from '../../src/platform/file-system.ts';
import { journalPath } from '../../src/home/home.ts';
import type { Home } from '../../src/home/home.ts';
import { forEachEffect } from '../support/each-effect.ts';
import { makeHost, shiftableClock } from '../support/host.ts';
import type { Host } from '../support/host.ts';
import { lowerLayer } from '../support/lower-layer.ts';

const mounted = new Set<string>();
vi.mock('../../src/platform/mounts.ts', () => ({
  mountPoints: async () => mounted,
  mountsBelow: async (dir: string) =>
    [...mounted].filter((path) => path.startsWith(`${dir}/`)).map((path) => path.slice(dir.length + 1)),
}));

const old = { 'a.txt': 'old a', 'sub/b.txt': 'same', 'sub/deep/c': 'old c', gone: 'only in old' };
const fresh = { 'a.txt': 'new a!', 'sub/b.txt': 'same', 'more/d.txt': 'only in new' };
const volume = { 'volume/x': 'not ours' };

interface Way {
  readonly name: string;
  readonly home?: (host: Host) => Home;
  readonly disk?: (store: string) => FileSystem;
  readonly mounts?: readonly string[];
}

const ways: readonly Way[] = [
  { name: 'by one rename' },
  {
    name: 'entry by entry',
    home: ({ store }) => ({ store, dir: join(store, '.sync-agent'), swap: 'entries' }),
  },
  { name: 'out of a lower layer', disk: lowerLayer },
  { name: 'around another mount', mounts: ['volume'] },
];

/** Only the `n`-th rename or removal from the swap on fails, once. */
function failing(fs: FileSystem, n: number): { readonly fs: FileSystem; readonly hasFailed: () => boolean } {
  let moves = 0;
  let hasFailed = false;
  const step = async (work: () => Promise<void>): Promise<void> => {
    moves += 1;
    if (moves !== n) return work();
    hasFailed = true;
    throw Object.assign(new Error('EPERM: operation not permitted'), { code: 'EPERM' });
  };
  return {
    fs: {
      ...fs,
      rename: (from, to) =>
        from.includes('/staging/') || to.includes('/rollback/') || to.endsWith('/journal.json')
          ? step(() => fs.rename(from, to))
          : fs.rename(from, to),
    },
    hasFailed: () => hasFailed,
  };
}

describe.each(ways)('a swap $name', (way) => {
  it('that fails at any move goes back by itself, or is through', async () => {
    let wentBack = 0;
    const last = await forEachEffect(
      async (n) => {
        const clock = shiftableClock();
        const remote = createMemoryRemote({ now: clock.now });
        const ports = { findStoreUsers: async () => [] };
        const other = await makeHost({ remote, clock, ports });
        const host = await makeHost({ remote, clock, ports });
        const home = way.home?.(host);
        const at = home === undefined ? ports : { ...ports, locateHome: async () => home };
        const more = way.mounts === undefined ? {} : volume;
        try {
          const prepared = await makeHost({ remote, clock, root: host.root, ports: at });
          await prepared.write(old);
          await prepared.agent.backup();
          await other.agent.restore();
          for (const path of ['gone', 'sub/deep/c']) await rm(join(other.store, path));
          await rm(join(other.store, 'sub/deep'), { recursive: true });
          await other.write(fresh);
          await other.agent.backup();
          await prepared.write(more);
          for (const path of way.mounts ?? []) mounted.add(join(host.store, path));

          const disk = failing(way.disk?.(host.store) ?? nodeFileSystem, n);
          const doomed = await makeHost({ remote, clock, root: host.root, ports: at, fs: disk.fs });
          const failure: unknown = await doomed.agent.restore({ force: true }).then(
            () => undefined,
            (error: unknown) => error,
          );
          if (failure !== undefined) {
            const present = await doomed.read();
            const dir = home?.dir ?? join(host.root, '.store.sync-agent');
            const journal = await lstat(journalPath({ store: host.store, dir, swap: 'rename' })).catch(
              () => undefined,
            );
            if (journal === undefined) {
              expect(present).toEqual({ ...old, ...more });
              wentBack += 1;
            } else expect(present).toEqual({ ...fresh, ...more });
          }
          // Either way the next one works.
          await prepared.agent.restore({ force: true });
          expect(await prepared.read()).toEqual({ ...fresh, ...more });
          return disk.hasFailed();
        } finally {
          await host.remove();
          await other.remove();
        }
      },
      { all: true },
    );
    expect(last).toBeGreaterThan(2);
    expect(wentBack).toBeGreaterThan(0);
  }, 120_000);
});
