import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createAgent } from '../../src/in-process/create-agent.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { nodeFileSystem } from '../../src/platform/file-system.ts';
import { openRemote } from '../../src/remotes/open-remote.ts';
import type * as Registry from '../../src/remotes/registry.ts';
import { parseRemote } from '../../src/remotes/remote-url.ts';
import { describeRemote } from './remote-conformance.ts';

// The remote of docs/adding-a-remote.md: one folder, and this line in the registry.
vi.mock('../../src/remotes/registry.ts', async (original) => {
  const { remoteKinds } = await original<typeof Registry>();
  const { sqliteRemoteKind } = await import('../support/sqlite-remote/sqlite-remote-kind.ts');
  return { remoteKinds: [...remoteKinds, sqliteRemoteKind] };
});

describeRemote('a remote that is added', async () => {
  const root = await mkdtemp(join(tmpdir(), 'sync-agent-sqlite-remote-'));
  const { remote } = await openRemote(`sqlite://${root}/remote.db`, {
    clock: systemClock,
    emit: () => undefined,
    fs: nodeFileSystem,
  });
  return {
    remote,
    close: async () => {
      await remote.close();
      await rm(root, { recursive: true, force: true });
    },
  };
});

describe('a remote that is added', () => {
  let root: string;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'sync-agent-sqlite-remote-'));
    await mkdir(join(root, 'store'));
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  it('is named among the others', () => {
    expect(() => parseRemote('ftp://host/x')).toThrow(
      expect.objectContaining({ remedy: expect.stringContaining('or sqlite:///absolute/file.db') as string }),
    );
    expect(parseRemote('sqlite:///srv/remote.db').url).toBe('sqlite:///srv/remote.db');
  });

  it('keeps a store: backups, rotation, doctor, verify and a restore on another host', async () => {
    const remote = `sqlite://${join(root, 'remote.db')}`;
    const agent = createAgent({ store: join(root, 'store'), remote, keepLast: 2, graceMs: 0 });
    for (const text of ['one', 'two', 'three', 'four']) {
      await writeFile(join(root, 'store/file'), text);
      expect(await agent.backup()).toMatchObject({ type: 'committed' });
    }
    await agent.prune();
    expect(await agent.list()).toHaveLength(2);
    expect((await agent.doctor()).checks.filter(({ status }) => status === 'fail')).toEqual([]);
    expect(await agent.verify({ readData: true })).toMatchObject({ isSound: true });
    await agent.close();

    const other = createAgent({ store: join(root, 'other'), remote });
    expect(await other.restore()).toMatchObject({ type: 'restored' });
    expect(await readdir(join(root, 'other'))).toEqual(['file']);
    expect(await readFile(join(root, 'other/file'), 'utf8')).toBe('four');
    await other.close();
  });

  it('cannot be inside the store that it keeps', async () => {
    const agent = createAgent({ store: join(root, 'store'), remote: `sqlite://${root}/store/remote.db` });
    await expect(agent.status()).rejects.toMatchObject({ code: 'USAGE' });
  });
});
