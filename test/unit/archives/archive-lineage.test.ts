import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { withArchive } from '../../../src/engine/archives/open-archive.ts';
import type { AgentPorts } from '../../../src/in-process/create-agent.ts';
import { SyncAgentError } from '../../../src/platform/errors.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { fileOf, forgeArchive } from '../../support/forged-archive.ts';
import { fastTmp, makeHost } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';
import { passThrough } from '../../support/race.ts';

const quiet: Partial<AgentPorts> = { findStoreUsers: async () => [] };
let root: string;
let remote: Remote;
let host: Host;
let file: string;
beforeEach(async () => {
  root = await mkdtemp(join(fastTmp, 'sync-agent-archive-lineage-'));
  remote = createMemoryRemote({ now: Date.now });
  host = await makeHost({ remote, root, ports: quiet });
  file = join(root, 'a.zip');
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** Writes and backs up; resolves to the snapshot. */
async function snapshot(text: string): Promise<string> {
  await host.write({ 'a.txt': text });
  const result = await host.agent.backup();
  if (result.type !== 'committed') throw new Error(result.type);
  return result.id;
}

describe('a store from an archive', () => {
  it('of a snapshot that is there continues it, and its next backup is no divergence', async () => {
    const first = await snapshot('one');
    const second = await snapshot('two!');
    await host.agent.archiveTo(file, { snapshot: first });
    const restored = await host.agent.restoreArchive(file);
    expect(restored).toMatchObject({ type: 'restored', lineage: 'equal', parent: first, snapshot: first });
    expect(await host.read()).toEqual({ 'a.txt': 'one' });
    expect((await host.agent.operationLog()).at(-1)).toMatchObject({
      operation: 'restore-archive',
      outcome: 'restored',
      before: second,
      after: first,
    });
    // It was chosen over the newest one, so a start leaves it alone, and the next backup makes it the newest.
    expect(await host.agent.restore()).toMatchObject({ type: 'ahead' });
    const next = await host.agent.backup();
    expect(next).toMatchObject({ type: 'committed', parent: first, diverged: [] });
    const list = await host.agent.list();
    expect(list.map(({ id, isTip }) => [id, isTip])).toContainEqual([second, false]);
    expect(list.at(-1)?.id).toBe(next.type === 'committed' ? next.id : '');
  });

  it('of the newest snapshot has nothing to back up', async () => {
    const newest = await snapshot('one');
    await host.agent.archiveTo(file, { snapshot: 'latest' });
    await host.write({ 'a.txt': 'written since' });
    expect(await host.agent.restoreArchive(file)).toMatchObject({ lineage: 'equal', parent: newest });
    expect(await host.agent.backup()).toEqual({ type: 'unchanged', id: newest });
    const [copy] = await host.agent.rollbackCopies();
    expect(await readFile(join(root, '.store.sync-agent/rollback', copy?.name ?? '', 'a.txt'), 'utf8')).toBe(
      'written since',
    );
  });

  it('that equals a snapshot by its bytes continues that', async () => {
    const newest = await snapshot('one');
    await host.agent.archiveTo(file);
    expect(await host.agent.restoreArchive(file)).toMatchObject({ lineage: 'equal', parent: newest });
    expect(await host.agent.backup()).toEqual({ type: 'unchanged', id: newest });
  });

  it('that was written since a snapshot is a child of it, chosen over what came later', async () => {
    const parent = await snapshot('one');
    await host.write({ 'a.txt': 'written since' });
    await host.agent.archiveTo(file);
    const later = await snapshot('later');
    expect(await host.agent.restoreArchive(file)).toMatchObject({ lineage: 'grown', parent });
    expect(await host.agent.restore()).toMatchObject({ type: 'ahead' });
    const next = await host.agent.backup();
    expect(next).toMatchObject({ type: 'committed', parent, diverged: [] });
    const list = await host.agent.list();
    expect(list.at(-1)?.id).toBe(next.type === 'committed' ? next.id : '');
    expect(list.find(({ id }) => id === later)?.isTip).toBe(false);
  });

  it('that the remote knows nothing of has no parent, and is no divergence', async () => {
    const elsewhere = await makeHost({ remote: createMemoryRemote({ now: Date.now }), ports: quiet });
    await elsewhere.write({ 'a.txt': 'from elsewhere' });
    await elsewhere.agent.archiveTo(file);
    await elsewhere.remove();
    const newest = await snapshot('one');
    expect(await host.agent.restoreArchive(file)).toMatchObject({ lineage: 'unknown', parent: null });
    expect(await host.agent.restore()).toMatchObject({ type: 'ahead', id: newest });
    const next = await host.agent.backup();
    expect(next).toMatchObject({ type: 'committed', parent: null, diverged: [] });
    expect((await host.agent.list()).at(-1)?.id).toBe(next.type === 'committed' ? next.id : '');
  });

  it('that comes while the remote is out of reach was chosen over what this host knew', async () => {
    await snapshot('one');
    await host.write({ 'a.txt': 'written since' });
    await host.agent.archiveTo(file);
    const newest = await snapshot('later');
    const away = new SyncAgentError('REMOTE_UNREACHABLE', 'Cannot reach the remote');
    const gone: Remote = {
      ...passThrough(remote),
      // eslint-disable-next-line require-yield
      async *list() {
        throw away;
      },
      get: async () => Promise.reject(away),
    };
    const cutOff = await makeHost({ remote: gone, root, ports: quiet });
    expect(await cutOff.agent.restoreArchive(file)).toMatchObject({ lineage: 'unknown', parent: null });
    expect(cutOff.events).toContainEqual(
      expect.objectContaining({ type: 'warning', code: 'REMOTE_UNREACHABLE' }),
    );
    expect(await host.read()).toEqual({ 'a.txt': 'written since' });
    expect(await host.agent.restore()).toMatchObject({ type: 'ahead', id: newest });
    const next = await host.agent.backup();
    expect(next).toMatchObject({ type: 'committed', parent: null, diverged: [] });
  });

  it('on a host without a store is told from a divergence by its content', async () => {
    await snapshot('one');
    await host.agent.archiveTo(file);
    await rm(host.store, { recursive: true });
    await rm(join(root, '.store.sync-agent'), { recursive: true });
    expect(await host.agent.restoreArchive(file)).toMatchObject({
      lineage: 'equal',
      rollbackCopy: undefined,
    });
    expect(await host.read()).toEqual({ 'a.txt': 'one' });
  });

  it('with the name of a snapshot and other bytes is not taken for it', async () => {
    const newest = await snapshot('one');
    await host.agent.archiveTo(file, { snapshot: newest });
    const forged = await withArchive(file, undefined, async ({ manifest }) => ({
      ...manifest,
      files: [{ ...manifest.files[0], ...fileOf('a.txt', 'two') }],
    }));
    await forgeArchive(file, forged, [{ name: 'store/a.txt', text: 'two' }]);
    expect(await host.agent.restoreArchive(file)).toMatchObject({ lineage: 'unknown', parent: null });
    expect(await host.agent.backup()).toMatchObject({ type: 'committed', diverged: [] });
  });

  it('leaves excluded files where they are', async () => {
    await snapshot('one');
    await host.agent.archiveTo(file);
    const choosy = await makeHost({ remote, root, ports: quiet, settings: { exclude: ['*.log'] } });
    await writeFile(join(host.store, 'x.log'), 'mine');
    await choosy.agent.restoreArchive(file);
    expect(await host.read()).toEqual({ 'a.txt': 'one', 'x.log': 'mine' });
  });

  it('is refused while a process has the store open', async () => {
    await snapshot('one');
    await host.agent.archiveTo(file);
    const user = { pid: 4711, command: 'chroma run', executable: undefined, mayWrite: true };
    const used = await makeHost({ remote, root, ports: { findStoreUsers: async () => [user] } });
    await expect(used.agent.restoreArchive(file)).rejects.toMatchObject({ code: 'BUSY' });
    expect(await used.agent.rollbackCopies()).toEqual([]);
  });
});
