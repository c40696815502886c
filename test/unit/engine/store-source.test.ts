import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readFile, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { withStoreSource } from '../../../src/engine/reading/store-source.ts';
import type { SourceName, StoreSource } from '../../../src/engine/reading/store-source.ts';
import { openStoreAccess } from '../../../src/in-process/store-access.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { StoreUser } from '../../../src/stores/capture/in-use.ts';
import { fastTmp, makeHost, readTree } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';

const server: StoreUser = { pid: 4711, command: 'chroma run', executable: undefined, mayWrite: true };

let root = '';
let host: Host;
let users: StoreUser[] = [];
beforeEach(async () => {
  root = await mkdtemp(join(fastTmp, 'store-source-'));
  users = [];
  host = await makeHost({ remote, root });
  await host.write({ 'a.txt': 'one', 'b/c.txt': 'two' });
});
afterEach(() => rm(root, { recursive: true, force: true }));
const remote = createMemoryRemote({ now: Date.now });

const read = <T>(name: SourceName, work: (source: StoreSource) => Promise<T>): Promise<T> =>
  openStoreAccess(
    { store: host.store, remote: 'file:///unused' },
    { remote, findStoreUsers: async () => users },
  ).read((context) => withStoreSource(context, name, work), undefined);

describe('reading a store', () => {
  it('that nobody has open reads it where it lies, and leaves nothing beside it', async () => {
    const [dir, files] = await read({ type: 'store' }, async (source) => [
      source.dir,
      await readTree(source.dir),
    ]);
    expect(dir).toBe(host.store);
    expect(files).toEqual({ 'a.txt': 'one', 'b/c.txt': 'two' });
    expect(await readdir(root)).toEqual(['store']);
  });

  it('that somebody begins to write rejects with BUSY', async () => {
    const work = async (): Promise<void> => writeFile(join(host.store, 'a.txt'), 'changed');
    await expect(read({ type: 'store' }, work)).rejects.toMatchObject({ code: 'BUSY' });
  });

  it('that is in use reads a copy of it, and takes another one when asked', async () => {
    users = [server];
    await read({ type: 'store' }, async ({ dir, kind, retake }) => {
      expect(kind).toBe('image');
      await writeFile(join(host.store, 'a.txt'), 'changed');
      expect(await readFile(join(dir, 'a.txt'), 'utf8')).toBe('one');
      await retake?.();
      expect(await readFile(join(dir, 'a.txt'), 'utf8')).toBe('changed');
    });
    expect(await readdir(root)).toEqual(['store']);
  });

  it('with a database in WAL mode, which a reader would make files for, reads a copy of it', async () => {
    const path = join(host.store, 'app.db');
    const database = new Database(path);
    database.exec('PRAGMA journal_mode = wal; CREATE TABLE t(x)');
    database.close();
    expect(await read({ type: 'store' }, async ({ kind }) => kind)).toBe('image');
    expect((await readdir(host.store)).toSorted()).toEqual(['a.txt', 'app.db', 'b']);
  });

  it('whose program was killed in WAL mode leaves it as it is, log and all', async () => {
    const elsewhere = await mkdtemp(join(fastTmp, 'killed-'));
    const database = new Database(join(elsewhere, 'app.db'));
    database.exec('PRAGMA journal_mode = wal; CREATE TABLE t(x)');
    for (const name of ['app.db', 'app.db-wal'])
      await copyFile(join(elsewhere, name), join(host.store, name));
    database.close();
    await rm(elsewhere, { recursive: true });
    const { size } = await stat(join(host.store, 'app.db-wal'));
    expect(await read({ type: 'store' }, async ({ kind }) => kind)).toBe('store');
    expect((await stat(join(host.store, 'app.db-wal'))).size).toBe(size);
  });

  it('leaves nothing either when the reader fails', async () => {
    users = [server];
    const work = async (): Promise<void> => {
      throw new Error('the reader');
    };
    await expect(read({ type: 'store' }, work)).rejects.toThrow('the reader');
    expect(await readdir(root)).toEqual(['store']);
  });

  it('of which there is none rejects with NOT_FOUND', async () => {
    await rm(host.store, { recursive: true });
    await expect(read({ type: 'store' }, async () => 0)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('out of a snapshot reads the snapshot, whatever became of the store', async () => {
    await host.agent.backup();
    await rm(host.store, { recursive: true });
    const files = await read({ type: 'snapshot', snapshot: undefined }, ({ dir }) => readTree(dir));
    expect(files).toEqual({ 'a.txt': 'one', 'b/c.txt': 'two' });
  });

  it('removes what a killed reader left, and nothing else', async () => {
    const scratch = join(root, '.store.sync-agent', 'scratch');
    const old = new Date(Date.now() - 2 * 3_600_000);
    // No system gives such a pid: pid_max is 2^22 at most.
    for (const name of ['9999999-abcdef', '9999999-young1', `${process.pid}-mine12`, 'notes']) {
      await mkdir(join(scratch, name), { recursive: true });
      if (!name.includes('young')) await utimes(join(scratch, name), old, old);
    }
    await read({ type: 'store' }, async () => 0);
    expect((await readdir(scratch)).toSorted()).toEqual(
      ['9999999-young1', 'notes', `${process.pid}-mine12`].toSorted(),
    );
    expect(existsSync(host.store)).toBe(true);
  });
});
