import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { locateHome } from '../../src/home/home.ts';
import { readJournal } from '../../src/home/journal.ts';
import type { AgentPorts } from '../../src/in-process/create-agent.ts';
import { createMemoryRemote } from '../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../src/remotes/remote.ts';
import { cutEverywhere, untilCut } from '../support/cut-everywhere.ts';
import { forEachEffect } from '../support/each-effect.ts';
import { fullDisk } from '../support/full-disk.ts';
import { fastTmp, makeHost } from '../support/host.ts';
import type { Host } from '../support/host.ts';
import { poweredFileSystem } from '../support/power.ts';

const archived = { 'a.txt': 'archived a', 'sub/b.txt': 'same' };
const present = { 'a.txt': 'present a!', 'sub/b.txt': 'same', more: 'written since' };

const quiet: Partial<AgentPorts> = {
  diskSpace: async () => ({ freeBytes: 1e12, totalBytes: 1e12 }),
  findStoreUsers: async () => [],
};

interface Prepared {
  readonly host: Host;
  readonly remote: Remote;
  readonly parent: string;
  readonly file: string;
}

/** A host whose store was written since a snapshot, and an archive of that snapshot. */
async function prepared(): Promise<Prepared> {
  const remote = createMemoryRemote({ now: Date.now });
  const root = await mkdtemp(join(fastTmp, 'sync-agent-archives-'));
  const host = await makeHost({ remote, root, ports: quiet });
  await host.write(archived);
  const result = await host.agent.backup();
  const { path } = await host.agent.archiveTo(join(root, 'out', 'a.zip'));
  await host.write(present);
  return { host, remote, parent: result.type === 'committed' ? result.id : 'none', file: path };
}

/** Whatever was the store goes on from the snapshot that both grew from. */
async function expectOneOfBoth({ host, remote, parent }: Prepared): Promise<void> {
  const again = await makeHost({ remote, root: host.root, ports: quiet });
  // The first command after the cut finishes what the journal says.
  await again.agent.assertSound();
  expect(await readJournal(await locateHome(host.store))).toBeUndefined();
  const content = await again.read();
  expect([archived, present]).toContainEqual(content);
  const next = await again.agent.backup();
  if (content?.['a.txt'] === archived['a.txt']) expect(next).toMatchObject({ type: 'unchanged', id: parent });
  else expect(next).toMatchObject({ type: 'committed', parent, diverged: [] });
}

describe('restoring an archive', () => {
  it('leaves the old store or that of the archive wherever the power is cut', async () => {
    const effects = await cutEverywhere(async (power) => {
      const made = await prepared();
      const { host, remote, file } = made;
      try {
        const fs = poweredFileSystem(power);
        const suffering = await makeHost({ remote, root: host.root, fs, ports: quiet });
        await untilCut(power, suffering.agent.restoreArchive(file));
        if (power.isCut) await expectOneOfBoth(made);
      } finally {
        await host.remove();
      }
    });
    expect(effects).toBeGreaterThan(30);
  });

  it('leaves the old store, to the byte, where the disk is full before the journal is written', async () => {
    let journaled = 0;
    await forEachEffect(async (n) => {
      const made = await prepared();
      const { host, remote, file } = made;
      const disk = fullDisk({ failAt: n, error: 'ENOSPC' });
      try {
        const suffering = await makeHost({ remote, root: host.root, fs: disk.fs, ports: quiet });
        const error: unknown = await suffering.agent.restoreArchive(file).then(
          () => undefined,
          (cause: unknown) => cause,
        );
        if (!disk.hasFailed()) return false;
        if (disk.changes.some((change) => /^rename .*journal\.json/.test(change))) journaled += 1;
        else {
          expect(error).toMatchObject({ code: 'DISK_FULL' });
          expect(await host.read()).toEqual(present);
        }
        await expectOneOfBoth(made);
        return true;
      } finally {
        await host.remove();
      }
    });
    expect(journaled).toBeGreaterThan(0);
  });
});

describe('writing an archive', () => {
  const options = { maxBackups: 1, force: true };

  /** Under the real name there is the old archive or the new one, and it opens. */
  const expectWhole = async ({ host, file }: Prepared): Promise<string> => {
    const dir = join(host.root, 'looked-at');
    await host.agent.restoreArchiveTo(file, dir);
    const text = await readFile(join(dir, 'a.txt'), 'utf8');
    await rm(dir, { recursive: true });
    return text;
  };

  it('leaves the old one or the new one wherever the power is cut', async () => {
    const seen = new Set<string>();
    const effects = await cutEverywhere(async (power) => {
      const made = await prepared();
      try {
        const { remote, file } = made;
        const fs = poweredFileSystem(power);
        const suffering = await makeHost({ remote, root: made.host.root, fs, ports: quiet });
        await untilCut(power, suffering.agent.archiveTo(file, options));
        seen.add(await expectWhole(made));
      } finally {
        await made.host.remove();
      }
    });
    expect(effects).toBeGreaterThan(10);
    expect([...seen].toSorted()).toEqual([archived['a.txt'], present['a.txt']]);
  });

  it.each(['ENOSPC', 'EACCES'] as const)('says %s, keeps the old one and leaves no part', async (kind) => {
    await forEachEffect(async (failAt) => {
      const made = await prepared();
      const disk = fullDisk({ failAt, error: kind });
      try {
        const { remote, file } = made;
        const suffering = await makeHost({ remote, root: made.host.root, fs: disk.fs, ports: quiet });
        const outcome: unknown = await suffering.agent.archiveTo(file, options).then(
          () => undefined,
          (thrown: unknown) => thrown,
        );
        if (!disk.hasFailed()) return false;
        expect(outcome).toMatchObject({
          code: kind === 'ENOSPC' ? 'DISK_FULL' : 'DENIED',
          message: expect.stringMatching(kind === 'ENOSPC' ? /bytes are free/ : /^Cannot /) as string,
        });
        await expectWhole(made);
        if (kind === 'ENOSPC') expect(await readdir(join(made.host.root, 'out'))).toEqual(['a.zip']);
        return true;
      } finally {
        await made.host.remove();
      }
    });
  });
});
