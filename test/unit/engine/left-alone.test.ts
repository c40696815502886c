import { execFileSync } from 'node:child_process';
import { appendFileSync, closeSync, openSync, statSync } from 'node:fs';
import { lstat, mkdir, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AgentPorts } from '../../../src/in-process/create-agent.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { locateHome, rollbackRoot } from '../../../src/home/home.ts';
import { makeHost, readTree } from '../../support/host.ts';
import type { Host, HostOptions } from '../../support/host.ts';

let remote: Remote;
const hosts: Host[] = [];
beforeEach(() => {
  remote = createMemoryRemote({ now: Date.now });
});
afterEach(async () => {
  for (const host of hosts.splice(0)) await host.remove();
});

const quiet: Partial<AgentPorts> = { findStoreUsers: async () => [] };
/** Room for the snapshot, not for both: replaces file by file. */
const inPlace: Partial<AgentPorts> = {
  ...quiet,
  diskSpace: async () => ({ freeBytes: 1000, totalBytes: 1000 }),
};
/** As a store that is a mount point. */
const byEntries: Partial<AgentPorts> = {
  ...quiet,
  locateHome: async (store) => ({ store, dir: join(store, '.sync-agent'), swap: 'entries' }),
};

async function hostWith(exclude?: readonly string[], options: Partial<HostOptions> = {}): Promise<Host> {
  const made = await makeHost({ remote, ports: quiet, settings: { exclude }, ...options });
  hosts.push(made);
  return made;
}

/** The same disk with other settings. */
const again = (before: Host, exclude: readonly string[], ports = quiet): Promise<Host> =>
  hostWith(exclude, { root: before.root, ports });

const inode = (path: string): number => statSync(path).ino;

async function rollbackFiles(made: Host): Promise<readonly string[]> {
  const home = await locateHome(made.store);
  return Object.keys((await readTree(rollbackRoot(home))) ?? {}).map((path) => path.replace(/^[^/]*\//, ''));
}

/** Two snapshots by another host: what `made` is to be brought to is the second one. */
async function moveRemoteOn(made: Host, files: Readonly<Record<string, string>>): Promise<void> {
  const other = await hostWith();
  await other.agent.restore();
  await other.write(files);
  await other.agent.backup();
  expect(other.store).not.toBe(made.store);
}

describe('what is foreign to a store', () => {
  const foreign = async (store: string): Promise<void> => {
    await mkdir(join(store, 'lost+found'), { recursive: true });
    await mkdir(join(store, '.snapshot/daily'), { recursive: true });
    await writeFile(join(store, '.snapshot/daily/a'), 'as it was yesterday');
    await writeFile(join(store, '.nfs000000000000000100000002'), 'open somewhere');
  };

  it('is not part of a snapshot, and no change', async () => {
    const here = await hostWith();
    await here.write({ a: 'a' });
    await foreign(here.store);
    expect(await here.agent.backup()).toMatchObject({ type: 'committed', files: 1 });
    await writeFile(join(here.store, '.nfs000000000000000100000003'), 'another one');
    await mkdir(join(here.store, 'lost+found/#12'));
    expect(await here.agent.localStatus()).toMatchObject({ isUnchanged: true });
    expect(await here.agent.backup()).toMatchObject({ type: 'unchanged' });
    expect(await here.agent.status()).toMatchObject({ relation: 'up-to-date', store: { files: 1 } });
  });

  it('leaves a store that holds nothing else missing', async () => {
    const there = await hostWith();
    await there.write({ a: 'a' });
    await there.agent.backup();
    const here = await hostWith();
    await foreign(here.store);
    expect(await here.agent.restore()).toMatchObject({ type: 'restored', why: 'there is no local store' });
    expect(await here.read()).toMatchObject({ a: 'a', '.snapshot/daily/a': 'as it was yesterday' });
  });

  it.each([
    ['whole', quiet],
    ['entry by entry', byEntries],
    ['file by file', inPlace],
  ])('stays where it is when the store is replaced %s', async (_, ports) => {
    const here = await hostWith(undefined, { ports });
    await here.write({ a: 'a', gone: 'gone', 'd/b': 'b' });
    await foreign(here.store);
    await here.agent.backup();
    await moveRemoteOn(here, { a: 'newer' });
    const before = ['lost+found', '.snapshot', '.nfs000000000000000100000002'].map((name) =>
      inode(join(here.store, name)),
    );
    expect(await here.agent.restore()).toMatchObject({ type: 'restored' });
    expect(await here.read()).toMatchObject({ a: 'newer', 'd/b': 'b' });
    const after = ['lost+found', '.snapshot', '.nfs000000000000000100000002'].map((name) =>
      inode(join(here.store, name)),
    );
    expect(after).toEqual(before);
    expect((await rollbackFiles(here)).filter((path) => /nfs|snapshot|lost/.test(path))).toEqual([]);
    expect(await here.agent.localStatus()).toMatchObject({ isUnchanged: true });
  });

  it('does not keep a snapshot out of a directory', async () => {
    const there = await hostWith();
    await there.write({ a: 'a', 'd/b': 'b' });
    await there.agent.backup();
    const dir = join(there.root, 'volume');
    await mkdir(join(dir, 'lost+found'), { recursive: true });
    await there.agent.restoreTo(dir);
    expect((await readdir(dir)).toSorted()).toEqual(['a', 'd', 'lost+found']);
  });

  it('is told by doctor', async () => {
    const here = await hostWith();
    await here.write({ a: 'a' });
    await foreign(here.store);
    const { checks } = await here.agent.doctor();
    expect(checks.find(({ name }) => name === 'left alone')?.detail).toMatch(/"\.snapshot".*"lost\+found"/);
  });
});

describe('what is excluded', () => {
  const patterns = ['*.log', '/cache/', 'state/*.tmp'];
  const noise = { 'app.log': 'one', 'logs/day/app.log': 'two', 'cache/x/y': 'y', 'state/s.tmp': 't' };

  it('is not captured, and its changes are none', async () => {
    const here = await hostWith(patterns);
    await here.write({ a: 'a', 'state/s': 's', ...noise });
    expect(await here.agent.backup()).toMatchObject({ type: 'committed', files: 2 });
    await here.write({ 'app.log': 'longer', 'logs/tomorrow/app.log': 'new', 'cache/z': 'z' });
    expect(await here.agent.localStatus()).toMatchObject({ isUnchanged: true });
    expect(await here.agent.backup()).toMatchObject({ type: 'unchanged' });
    expect(await here.agent.status()).toMatchObject({ relation: 'up-to-date', store: { files: 2 } });
    const { checks } = await here.agent.doctor();
    expect(checks.filter(({ name }) => name === 'exclude').map(({ detail }) => detail)).toEqual([
      '"*.log" leaves alone "app.log", "logs/day/app.log", "logs/tomorrow/app.log"',
      '"/cache/" leaves alone "cache"',
      '"state/*.tmp" leaves alone "state/s.tmp"',
    ]);
  });

  it('may be what no snapshot can hold, and is not opened', async () => {
    const here = await hostWith(['/run/', '*.sock', 'link']);
    await here.write({ a: 'a' });
    await mkdir(join(here.store, 'run'), { mode: 0 });
    execFileSync('mkfifo', [join(here.store, 'pipe.sock')]);
    await symlink('/nowhere', join(here.store, 'link'));
    expect(await here.agent.backup()).toMatchObject({ type: 'committed', files: 1 });
    const other = await hostWith();
    await other.write({ a: 'a' });
    await symlink('/nowhere', join(other.store, 'li*nk'));
    await expect(other.agent.backup()).rejects.toMatchObject({
      code: 'REFUSED',
      message: expect.stringContaining('"li*nk"') as string,
      remedy: expect.stringContaining("--exclude '/li\\*nk'") as string,
    });
    const helped = await again(other, ['/li\\*nk']);
    expect(await helped.agent.backup()).toMatchObject({ type: 'unchanged' });
  });

  it.each([
    ['whole', quiet],
    ['entry by entry', byEntries],
    ['file by file', inPlace],
  ])('survives that the store is replaced %s, also while it is written', async (_, ports) => {
    const here = await hostWith(patterns, { ports });
    await here.write({ a: 'a', 'state/s': 's', 'old/gone': 'gone', 'old/x.log': 'x', ...noise });
    await symlink('app.log', join(here.store, 'current.log'));
    execFileSync('mkfifo', [join(here.store, 'pipe.log')]);
    await here.agent.backup();
    await moveRemoteOn(here, { a: 'newer' });
    await rm(join(here.root, 'unused'), { force: true });
    const log = openSync(join(here.store, 'app.log'), 'a');
    const deeper = openSync(join(here.store, 'logs/day/app.log'), 'a');
    try {
      expect(await here.agent.restore()).toMatchObject({ type: 'restored' });
      appendFileSync(log, ' and on');
      appendFileSync(deeper, ' and on');
    } finally {
      closeSync(log);
      closeSync(deeper);
    }
    expect(await here.read()).toEqual({
      a: 'newer',
      'state/s': 's',
      'old/gone': 'gone',
      'old/x.log': 'x',
      ...noise,
      'app.log': 'one and on',
      'logs/day/app.log': 'two and on',
    });
    expect((await lstat(join(here.store, 'current.log'))).isSymbolicLink()).toBe(true);
    expect((await lstat(join(here.store, 'pipe.log'))).isFIFO()).toBe(true);
    expect(await here.agent.localStatus()).toMatchObject({ isUnchanged: true });
  });

  it.each([
    ['whole', quiet],
    ['entry by entry', byEntries],
    ['file by file', inPlace],
  ])('survives in a directory that the snapshot does not have, replaced %s', async (_, ports) => {
    const there = await hostWith();
    await there.write({ a: 'a' });
    await there.agent.backup();
    const here = await hostWith(patterns, { ports });
    await here.write({ stray: 'stray', 'stray.d/b': 'b', 'stray.d/c.log': 'c' });
    expect(await here.agent.restore({ force: true, skipBackup: true })).toMatchObject({ type: 'restored' });
    expect(await here.read()).toEqual({ a: 'a', 'stray.d/c.log': 'c' });
  });

  it('comes back by a rollback as it is, not as it was', async () => {
    const here = await hostWith(patterns);
    await here.write({ a: 'a', ...noise });
    await here.agent.backup();
    await moveRemoteOn(here, { a: 'newer' });
    await here.agent.restore();
    await writeFile(join(here.store, 'late.log'), 'late');
    await rm(join(here.store, 'cache/x/y'));
    await writeFile(join(here.store, 'cache/x/z'), 'z');
    const copies = await here.agent.rollbackCopies();
    await here.agent.rollBack(copies.at(-1)?.name ?? '');
    expect(await here.read()).toMatchObject({ a: 'a', 'late.log': 'late', 'cache/x/z': 'z' });
  });

  it('does not stand in the way of a newer snapshot, and changes no lineage', async () => {
    const before = await hostWith();
    await before.write({ a: 'a', ...noise });
    await before.agent.backup();
    const here = await again(before, patterns);
    expect(await here.agent.backup()).toMatchObject({ type: 'unchanged' });
    expect(await here.agent.localStatus()).toMatchObject({ isUnchanged: true });
    await moveRemoteOn(here, { a: 'newer' });
    const anew = await again(before, [...patterns, 'nothing']);
    await anew.write({ 'app.log': 'grown' });
    expect(await anew.agent.sync()).toMatchObject({ type: 'restored' });
    expect(await anew.read()).toEqual({ a: 'newer', ...noise, 'app.log': 'grown' });
  });

  it('is not restored from a snapshot that has it, but into another directory', async () => {
    const there = await hostWith();
    await there.write({ a: 'a', ...noise });
    await there.agent.backup();
    const here = await hostWith(patterns);
    expect(await here.agent.restore()).toMatchObject({ type: 'restored', files: 1 });
    expect(await here.read()).toEqual({ a: 'a' });
    expect(await here.agent.backup()).toMatchObject({ type: 'unchanged' });
    const dir = join(here.root, 'look');
    await here.agent.restoreTo(dir);
    expect(await readTree(dir)).toEqual({ a: 'a', ...noise });
  });

  it('does not count as a loss when the pattern is new', async () => {
    const before = await hostWith();
    await before.write({ a: 'a', 'big.log': 'x'.repeat(10_000), 'b.log': 'b', 'c.log': 'c' });
    await before.agent.backup();
    const here = await again(before, patterns);
    await here.write({ a: 'b' });
    expect(await here.agent.backup()).toMatchObject({ type: 'committed', files: 1 });
  });

  it('is known again where nothing is recorded, from a snapshot that has it', async () => {
    const there = await hostWith();
    await there.write({ a: 'a', ...noise });
    await there.agent.backup();
    const here = await hostWith(patterns);
    await here.write({ a: 'a', 'app.log': 'another' });
    expect(await here.agent.restore()).toMatchObject({ type: 'equal' });
  });

  it('leaves a store that holds nothing else missing', async () => {
    const there = await hostWith();
    await there.write({ a: 'a' });
    await there.agent.backup();
    const here = await hostWith(patterns);
    await here.write(noise);
    expect(await here.agent.restore()).toMatchObject({ type: 'restored' });
    expect(await here.read()).toEqual({ a: 'a', ...noise });
  });

  it('is refused in the place of a file that is to be restored, before anything is touched', async () => {
    const there = await hostWith();
    await there.write({ a: 'a', cache: 'a file' });
    await there.agent.backup();
    for (const ports of [quiet, byEntries, inPlace]) {
      const here = await hostWith(patterns, { ports });
      await here.write({ a: 'old', 'cache/x': 'x' });
      await expect(here.agent.restore({ force: true, skipBackup: true })).rejects.toMatchObject({
        code: 'REFUSED',
        message: expect.stringContaining('cache') as string,
      });
      expect(await here.read()).toEqual({ a: 'old', 'cache/x': 'x' });
    }
  });
});

describe('what may not be excluded', () => {
  const database = async (path: string): Promise<void> => {
    await mkdir(join(path, '..'), { recursive: true });
    const db = new Database(path);
    db.exec('CREATE TABLE t (x); INSERT INTO t VALUES (1)');
    db.close();
  };

  it.each([
    ['app.db', '*.db', 'app.db', 'no other database would be left'],
    ['app.db', '*-wal', 'app.db-wal', '"app.db" is incomplete without it'],
    ['app.db', 'app.db-*', 'app.db-wal', '"app.db" is incomplete without it'],
    ['chroma.sqlite3', '*.sqlite3', 'chroma.sqlite3', 'it is the database of the store'],
    ['chroma.sqlite3', '*', 'chroma.sqlite3', 'it is the database of the store'],
    ['chroma.sqlite3', '*-journal', 'chroma.sqlite3-journal', '"chroma.sqlite3" is incomplete without it'],
    ['chroma.sqlite3', '*.bin', /\/header\.bin/, 'the vector indexes need such files'],
    ['chroma.sqlite3', '*-*-*/', /\/header\.bin/, 'the vector indexes need such files'],
  ])('of a store with %s: %s', async (name, pattern, path, why) => {
    const here = await hostWith([pattern]);
    await database(join(here.store, name));
    const refusal = await here.agent.backup().then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(refusal).toMatchObject({ code: 'USAGE' });
    expect(String(refusal)).toContain(why);
    expect(String(refusal)).toMatch(path);
    const { checks } = await here.agent.doctor();
    expect(checks.find((each) => each.name === 'exclude')).toMatchObject({ status: 'fail', code: 'USAGE' });
  });

  it('another database of the store may, and takes its log along', async () => {
    const here = await hostWith(['cache.db']);
    await database(join(here.store, 'app.db'));
    await database(join(here.store, 'cache.db'));
    await writeFile(join(here.store, 'cache.db-wal'), 'not a log');
    await writeFile(join(here.store, 'cache.db-journal'), 'not a journal');
    expect(await here.agent.backup()).toMatchObject({ type: 'committed', files: 1, records: 1 });
    // A damaged one is nobody's business either.
    await writeFile(join(here.store, 'cache.db'), `SQLite format 3\0${'x'.repeat(5000)}`);
    const { checks } = await here.agent.doctor();
    expect(checks.find((each) => each.name === 'store')).toMatchObject({ status: 'ok' });
    expect(await readFile(join(here.store, 'cache.db-wal'), 'utf8')).toBe('not a log');
  });

  it('a snapshot of a database is not restored without it', async () => {
    const there = await hostWith();
    await database(join(there.store, 'app.db'));
    await there.agent.backup();
    const here = await hostWith(['*.db']);
    await expect(here.agent.restore()).rejects.toMatchObject({ code: 'USAGE' });
  });
});
