import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { mayStartUnrestored } from '../../../src/cli/commands/may-start-unrestored.ts';
import { SyncAgentError } from '../../../src/platform/errors.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { adapterNamed } from '../../../src/stores/find-adapter.ts';
import { fingerprintOf, unpackFixture } from '../../support/fixtures.ts';
import { fastTmp, makeHost, shiftableClock } from '../../support/host.ts';
import type { Host, HostOptions } from '../../support/host.ts';
import { passThrough } from '../../support/race.ts';

let root: string;
let remote: Remote;
beforeEach(async () => {
  root = await mkdtemp(join(fastTmp, 'damage-at-start-'));
  remote = createMemoryRemote({ now: Date.now });
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function makeOne(options: Partial<HostOptions> = {}): Promise<Host> {
  const ports = { findStoreUsers: async () => [], ...options.ports };
  return makeHost({ remote, root: join(root, 'one'), ...options, ports });
}

/** A store of two databases and a file, with a snapshot of it. */
async function withDatabases(options: Partial<HostOptions> = {}): Promise<{ one: Host; id: string }> {
  const one = await makeOne(options);
  await one.write({ 'notes.txt': 'text' });
  sql(one, 'app.data', 'CREATE TABLE t (x); INSERT INTO t VALUES (1), (2), (3)');
  sql(one, 'other.db', 'CREATE TABLE t (x)');
  return { one, id: await backup(one) };
}

async function backup(on: Host): Promise<string> {
  const result = await on.agent.backup();
  if (result.type !== 'committed') throw new Error(`expected a commit, got ${JSON.stringify(result)}`);
  return result.id;
}

function sql(on: Host, path: string, text: string): void {
  const database = new Database(join(on.store, path));
  database.exec(text);
  database.close();
}

async function overwrite(on: Host, path: string, at: number, length: number): Promise<void> {
  const bytes = await readFile(join(on.store, path));
  await writeFile(join(on.store, path), bytes.fill(0xa5, at, at + length));
}

const inspections = ({ events }: Host): number =>
  events.filter((event) => event.type === 'phase' && event.phase === 'validate').length;
const corrupt = (part: string): object => ({
  code: 'STORE_CORRUPT',
  exitCode: 5,
  message: expect.stringContaining(part) as string,
});

describe('a damaged store that was written since its snapshot', () => {
  it.each<[string, string, (on: Host) => unknown]>([
    ['a database with a garbage header', 'app.data is no SQLite', (on) => overwrite(on, 'app.data', 0, 100)],
    ['a damaged page', 'app.data', (on) => overwrite(on, 'app.data', 4096 + 8, 64)],
    ['an empty database', 'app.data is empty', (on) => truncate(join(on.store, 'app.data'), 0)],
    [
      'no database',
      'app.data is missing',
      async (on) => (await rm(join(on.store, 'app.data')), rm(join(on.store, 'other.db'))),
    ],
  ])('is not started on: %s', async (_, named, damage) => {
    const { one, id } = await withDatabases();
    await damage(one);
    const before = fingerprintOf(one.store);
    for (const dryRun of [true, false])
      await expect(one.agent.restore({ dryRun })).rejects.toMatchObject({
        ...corrupt(named),
        remedy: expect.stringContaining(
          `--on-damage recover" keeps it as a rollback copy and restores snapshot ${id}`,
        ) as string,
      });
    expect(fingerprintOf(one.store)).toEqual(before);
    expect(await readdir(join(root, 'one', '.store.sync-agent'))).not.toContain('staging');
  });

  it.each<[string, string, (on: Host) => Promise<unknown>]>([
    ['no header', 'not a database', (on) => overwrite(on, 'chroma.sqlite3', 0, 100)],
    ['no bytes', 'is empty', (on) => truncate(join(on.store, 'chroma.sqlite3'), 0)],
    ['no database', 'chroma.sqlite3 is missing', (on) => rm(join(on.store, 'chroma.sqlite3'))],
    ['no links', 'link_lists.bin', async (on) => rm(join(on.store, await indexOf(on), 'link_lists.bin'))],
  ])('of Chroma: %s', async (_, named, damage) => {
    const one = await makeOne();
    unpackFixture('chroma-1-a', one.store);
    await backup(one);
    await damage(one);
    await expect(one.agent.restore()).rejects.toMatchObject(corrupt(named));
  });

  it('is replaced by the newest snapshot where that was asked for, and kept', async () => {
    const { one, id } = await withDatabases();
    sql(one, 'other.db', 'INSERT INTO t VALUES (1), (2)');
    await overwrite(one, 'app.data', 0, 100);
    const before = fingerprintOf(one.store);
    expect(await one.agent.restore({ onDamage: 'recover', dryRun: true })).toMatchObject({
      type: 'planned',
      id,
    });
    const options = { onDamage: 'recover', skipBackup: true } as const;
    const result = await one.agent.restore(options);
    expect(result).toMatchObject({
      type: 'restored',
      id,
      why: 'the store is damaged: app.data is no SQLite database any more',
      lost: { from: expect.any(String) as string, records: 0 },
    });
    if (result.type !== 'restored' || result.lost === undefined) throw new Error('nothing is told');
    expect(Date.parse(result.lost.to)).toBeGreaterThanOrEqual(Date.parse(result.lost.from));
    const copy = join(root, 'one', '.store.sync-agent/rollback', result.rollbackCopy ?? '');
    expect(fingerprintOf(copy)).toEqual(before);
    expect(one.events).toContainEqual(
      expect.objectContaining({
        type: 'warning',
        code: 'STORE_CORRUPT',
        message: expect.stringContaining('is missing') as string,
      }),
    );
    expect(await one.agent.restore()).toEqual({ type: 'equal', id });
  });

  it('is kept though no rollback copies are, by a setting', async () => {
    const { one } = await withDatabases({ settings: { onDamage: 'recover', rollbackCopies: 0 } });
    await overwrite(one, 'app.data', 0, 100);
    expect(await one.agent.restore()).toMatchObject({ type: 'restored', lost: { records: null } });
    expect(await one.agent.rollbackCopies()).toHaveLength(1);
  });

  it('counts what can be counted of what is missing', async () => {
    const one = await makeOne();
    await one.write({ 'notes.txt': 'text' });
    sql(one, 'app.db', 'CREATE TABLE t (x); INSERT INTO t VALUES (1)');
    await backup(one);
    sql(one, 'more.db', 'CREATE TABLE t (x); INSERT INTO t VALUES (1), (2), (3), (4)');
    await overwrite(one, 'app.db', 0, 100);
    expect(await one.agent.restore({ onDamage: 'recover' })).toMatchObject({ lost: { records: 3 } });
  });

  it('is not committed either, when only the header tells', async () => {
    const { one, id } = await withDatabases();
    await overwrite(one, 'app.data', 0, 100);
    await expect(one.agent.backup()).rejects.toMatchObject(corrupt('app.data is no SQLite'));
    expect(await one.agent.backup({ acceptDamage: true })).toMatchObject({ type: 'committed', parent: id });
  });

  it('is not committed as plain files, when its only database has no header', async () => {
    const one = await makeOne();
    await mkdir(one.store, { recursive: true });
    sql(one, 'app.db', 'CREATE TABLE t (x); INSERT INTO t VALUES (1), (2), (3)');
    const id = await backup(one);
    await overwrite(one, 'app.db', 0, 100);
    await expect(one.agent.backup()).rejects.toMatchObject(corrupt('app.db is no SQLite'));
    await expect(one.agent.backup({ allowShrink: true })).rejects.toMatchObject(corrupt('app.db'));
    expect(await one.agent.backup({ acceptDamage: true })).toMatchObject({
      type: 'committed',
      parent: id,
      damage: [{ where: 'app.db' }],
    });
    expect(await one.agent.restore({ onDamage: 'recover' })).toMatchObject({ type: 'restored', id });
  });

  it('is plain files, although it holds a database, where the settings say so', async () => {
    const one = await makeOne();
    await mkdir(one.store, { recursive: true });
    sql(one, 'app.db', 'CREATE TABLE t (x); INSERT INTO t VALUES (1)');
    await backup(one);
    const plain = await makeOne({ settings: { adapter: 'files' } });
    expect(await plain.agent.backup({ allowShrink: true, force: true })).toMatchObject({ type: 'committed' });
    expect(await plain.agent.show('latest')).toMatchObject({ adapter: 'files' });
  });

  it('is plain files from now on, where its database was emptied or removed and a person says so', async () => {
    const one = await makeOne();
    await one.write({ 'notes.txt': 'text' });
    sql(one, 'app.db', 'CREATE TABLE t (x); INSERT INTO t VALUES (1)');
    await backup(one);
    await truncate(join(one.store, 'app.db'), 0);
    await expect(one.agent.backup()).rejects.toMatchObject({ code: 'REFUSED' });
    await rm(join(one.store, 'app.db'));
    await expect(one.agent.backup()).rejects.toMatchObject({ code: 'REFUSED' });
    expect(await one.agent.backup({ allowShrink: true })).toMatchObject({ type: 'committed' });
  });

  it('is told for what it is beside another history, too', async () => {
    const { one } = await withDatabases();
    const other = await makeHost({ remote, root: join(root, 'other') });
    await other.agent.restore();
    sql(other, 'app.data', 'INSERT INTO t VALUES (4)');
    const theirs = await backup(other);
    await overwrite(one, 'app.data', 0, 100);
    await expect(one.agent.restore()).rejects.toMatchObject(corrupt(`and ${theirs} was made elsewhere`));
    expect(await one.agent.restore({ onDamage: 'recover' })).toMatchObject({ type: 'restored', id: theirs });
  });

  it('is no reason to start without the remote, nor beside an empty one', async () => {
    const { one } = await withDatabases();
    sql(one, 'other.db', 'INSERT INTO t VALUES (1)');
    const failing: Remote = {
      ...passThrough(remote),
      list: () => {
        throw new SyncAgentError('REMOTE_UNREACHABLE', 'Cannot list: no answer');
      },
    };
    const away = await makeOne({ remote: failing });
    await expect(away.agent.restore()).rejects.toMatchObject({ code: 'REMOTE_UNREACHABLE' });
    await overwrite(one, 'app.data', 0, 100);
    for (const onDamage of ['fail', 'recover'] as const)
      await expect(away.agent.restore({ onDamage })).rejects.toMatchObject(corrupt('Cannot list: no answer'));

    const unreachable = new SyncAgentError('REMOTE_UNREACHABLE', 'Cannot wait for the lease');
    for (const onError of [undefined, 'continue'] as const)
      await expect(
        mayStartUnrestored(unreachable, { store: one.store, onError, agent: away.agent }),
      ).rejects.toMatchObject(corrupt('app.data'));

    await rm(join(root, 'one', '.store.sync-agent'), { recursive: true });
    const empty = await makeOne({ remote: createMemoryRemote({ now: Date.now }) });
    await overwrite(one, 'other.db', 100, 4000);
    for (const onDamage of ['fail', 'recover'] as const)
      await expect(empty.agent.restore({ onDamage })).rejects.toMatchObject(corrupt('holds none'));
  });
});

describe('a look at the store before a start', () => {
  it('is spared where nothing was written since the snapshot, or since the look before', async () => {
    const clock = shiftableClock();
    const { one } = await withDatabases({ clock });
    clock.forward(1000);
    await one.agent.backup({ force: true });
    one.events.length = 0;
    expect(await one.agent.restore()).toMatchObject({ type: 'equal' });
    expect(inspections(one)).toBe(0);
    sql(one, 'app.data', 'INSERT INTO t VALUES (4)');
    clock.forward(1000);
    for (let n = 0; n < 3; n += 1) expect(await one.agent.restore()).toMatchObject({ type: 'ahead' });
    expect(inspections(one)).toBe(1);
    await overwrite(one, 'app.data', 0, 100);
    await expect(one.agent.restore()).rejects.toMatchObject(corrupt('app.data'));
  });

  it('is given up, with a word, while somebody works in the store', async () => {
    const { one } = await withDatabases();
    await overwrite(one, 'app.data', 0, 100);
    const user = { pid: 4711, command: 'server', executable: undefined, mayWrite: true };
    const busy = await makeOne({ ports: { findStoreUsers: async () => [user] } });
    expect(await busy.agent.restore()).toMatchObject({ type: 'ahead' });
    expect(busy.events).toContainEqual(
      expect.objectContaining({
        type: 'warning',
        message: expect.stringContaining('pid 4711 (server)') as string,
      }),
    );
    await expect(busy.agent.restore({ onDamage: 'recover' })).rejects.toMatchObject({ code: 'BUSY' });
  });

  it('is no verdict when somebody whom we do not see wrote meanwhile', async () => {
    const { one } = await withDatabases();
    await overwrite(one, 'app.data', 0, 100);
    let n = 0;
    const findStoreUsers = async (): Promise<[]> => (await one.write({ log: `${(n += 1)}` }), []);
    const raced = await makeOne({ ports: { findStoreUsers } });
    expect(await raced.agent.restore()).toMatchObject({ type: 'ahead' });
    expect(raced.events).toContainEqual(expect.objectContaining({ type: 'warning', code: 'BUSY' }));
  });

  it.each([
    ['a hot journal', 'DELETE'],
    ['a write-ahead log', 'WAL'],
  ])('takes %s of a killed program for what it is, and changes no byte', async (_, mode) => {
    const { one, id } = await withDatabases();
    killInTransaction(join(one.store, 'app.data'), mode);
    const left = mode === 'WAL' ? 'app.data-wal' : 'app.data-journal';
    expect((await readFile(join(one.store, left))).length).toBeGreaterThan(1000);
    const before = fingerprintOf(one.store);
    expect(await one.agent.restore()).toMatchObject({ type: 'ahead', id });
    const { checks } = await one.agent.doctor();
    expect(checks.find(({ name }) => name === 'store')).toMatchObject({ status: 'ok' });
    expect(fingerprintOf(one.store)).toEqual(before);
    const database = new Database(join(one.store, 'app.data'));
    expect(database.prepare('SELECT count(*) FROM t').pluck().get()).toBe(mode === 'WAL' ? 2003 : 3);
    database.close();
  });

  it('finds the damage behind a hot journal', async () => {
    const { one } = await withDatabases();
    sql(one, 'app.data', 'CREATE TABLE u (x); INSERT INTO u VALUES (zeroblob(9000))');
    await overwrite(one, 'app.data', 8192 + 8, 64);
    killInTransaction(join(one.store, 'app.data'), 'DELETE');
    await expect(one.agent.restore()).rejects.toMatchObject(corrupt('app.data'));
  });

  it('finds nothing wrong with a store at its beginning', async () => {
    const one = await makeOne({ settings: { adapter: 'chroma' } });
    await one.write({ '.keep': '1' });
    expect(await one.agent.restore()).toEqual({ type: 'empty-remote' });
    await one.write({ 'chroma.sqlite3': '' });
    expect(await one.agent.restore()).toEqual({ type: 'empty-remote' });
  });

  it('knows databases of old manifests by their names', () => {
    const names = ['a.db', 'b/c.SQLITE3', 'notes.txt', 'chroma.sqlite3', 'data'];
    expect(adapterNamed('sqlite').databasesAmong(names)).toEqual(['a.db', 'b/c.SQLITE3', 'chroma.sqlite3']);
    expect(adapterNamed('chroma').databasesAmong(names)).toEqual(['chroma.sqlite3']);
  });
});

describe('a rollback', () => {
  it('puts a damaged copy back only where that is insisted on', async () => {
    const { one } = await withDatabases();
    await overwrite(one, 'app.data', 0, 100);
    const damaged = fingerprintOf(one.store);
    await one.agent.restore({ force: true });
    const [copy] = await one.agent.rollbackCopies();
    const name = copy?.name ?? '';
    const before = fingerprintOf(one.store);
    await expect(one.agent.rollBack(name)).rejects.toMatchObject({
      ...corrupt('app.data is no SQLite'),
      remedy: expect.stringContaining('--force') as string,
    });
    expect(fingerprintOf(one.store)).toEqual(before);
    await one.agent.rollBack(name, { force: true });
    expect(fingerprintOf(one.store)).toEqual(damaged);
    expect(one.events).toContainEqual(expect.objectContaining({ type: 'warning', code: 'STORE_CORRUPT' }));
  });

  it('lists no copy of an empty store, and makes none', async () => {
    const { one, id } = await withDatabases();
    for (const make of [() => one.write({}), () => one.write({ 'sub/x': '' })]) {
      await rm(one.store, { recursive: true });
      await make();
      await rm(join(one.store, 'sub/x'), { force: true });
      expect(await one.agent.restore()).toMatchObject({ type: 'restored', id, rollbackCopy: undefined });
      expect(await one.agent.rollbackCopies()).toEqual([]);
    }
    expect(await readdir(join(root, 'one', '.store.sync-agent/rollback')).catch(() => [])).toEqual([]);
  });
});

async function indexOf(on: Host): Promise<string> {
  const paths = await readdir(on.store, { recursive: true });
  return dirname(paths.find((path) => path.endsWith('index_metadata.pickle')) ?? '');
}

/** A program that writes, and is killed: in DELETE mode in the middle of a transaction that has reached the disk. */
function killInTransaction(path: string, mode: string): void {
  const text = `
    const db = new (require('better-sqlite3'))(${JSON.stringify(path)});
    db.pragma('journal_mode = ${mode}');
    db.pragma('cache_size = 2');
    db.exec('BEGIN; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) INSERT INTO t SELECT randomblob(100) FROM n');
    if (${mode === 'WAL'}) db.exec('COMMIT');
    process.kill(process.pid, 'SIGKILL');`;
  const { signal } = spawnSync(process.execPath, ['-e', text], { cwd: process.cwd() });
  if (signal !== 'SIGKILL') throw new Error('the writer was not killed');
}
