import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { link, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/platform/clock.ts';
import { detectAdapter } from '../../../src/stores/find-adapter.ts';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';
import { emptyDirectoriesOf } from '../../../src/stores/content/scan.ts';
import type { Capture } from '../../../src/stores/adapter.ts';

let root: string;
let store: string;
let child: ChildProcess | undefined;
let copies = 0;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'sync-agent-capture-'));
  store = join(root, 'store');
  await mkdir(store);
});

afterEach(async () => {
  if (child !== undefined && child.exitCode === null) {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  child = undefined;
  await rm(root, { recursive: true, force: true });
});

async function capture(
  timeoutMs = 10_000,
  clock = systemClock,
): Promise<{ readonly copy: string; readonly result: Capture }> {
  const copy = join(root, `copy-${(copies += 1)}`);
  await mkdir(copy);
  const adapter = await detectAdapter(store);
  const result = await adapter.capture(store, copy, {
    timeoutMs,
    unfinishedMs: 500,
    clock,
    fs: nodeFileSystem,
  });
  return { copy, result };
}

/** Runs a script in a process of its own until it sends its first message. */
async function start(script: string): Promise<ChildProcess> {
  const path = join(root, 'child.cjs');
  await writeFile(
    path,
    `const Database = require(${JSON.stringify(createRequire(import.meta.url).resolve('better-sqlite3'))});\n${script}`,
  );
  child = fork(path, [store], { execArgv: [] });
  await once(child, 'message');
  return child;
}

/** Moves money between accounts without a pause: the sum is the same in every committed state. */
const bank = (mode: string): string => `
  const db = new Database(process.argv[2] + '/bank.db', { timeout: 5000 });
  db.pragma('journal_mode = ${mode}');
  db.exec('create table if not exists account(id integer primary key, amount, pad)');
  const add = db.prepare('insert into account values (?, 100, ?)');
  db.transaction(() => { for (let i = 0; i < 2000; i++) add.run(i, 'x'.repeat(300)); })();
  const move = db.transaction((a, b) => {
    db.prepare('update account set amount = amount - 1 where id = ?').run(a);
    db.prepare('update account set amount = amount + 1 where id = ?').run(b);
  });
  let n = 0;
  const turn = () => {
    for (let i = 0; i < 5; i++) move(n * 7 % 2000, n++ * 13 % 2000);
    if (n === 5) process.send('ready');
    setImmediate(turn);
  };
  turn();
`;

function checkBank(path: string): void {
  const db = new Database(path, { readonly: true });
  expect(db.pragma('integrity_check', { simple: true })).toBe('ok');
  expect(db.prepare('select sum(amount) from account').pluck().get()).toBe(200_000);
  db.close();
}

describe('capture of a SQLite database', () => {
  it.each(['delete', 'wal', 'truncate', 'persist'])(
    'is consistent while another process writes in journal mode %s',
    async (mode) => {
      const writer = await start(bank(mode));
      for (let round = 0; round < 8; round += 1) {
        const { copy, result } = await capture();
        expect(result.longestHoldMs).toBeGreaterThan(0);
        for (const suffix of ['-wal', '-shm', '-journal'])
          expect(existsSync(join(copy, `bank.db${suffix}`))).toBe(false);
        checkBank(join(copy, 'bank.db'));
      }
      expect(writer.exitCode).toBeNull();
    },
    60_000,
  );

  it.each(['delete', 'wal'])(
    'is consistent where it has two more names, in journal mode %s',
    async (mode) => {
      await start(bank(mode));
      for (const name of ['another.db', 'copy.db']) await link(join(store, 'bank.db'), join(store, name));
      const { copy, result } = await capture();
      expect(result.longestHoldMs).toBeGreaterThan(0);
      checkBank(join(copy, 'bank.db'));
      expect(existsSync(join(copy, 'another.db'))).toBe(true);
      expect(existsSync(join(copy, 'copy.db'))).toBe(true);
    },
    30_000,
  );

  it('holds what is only in the write-ahead log', async () => {
    const db = new Database(join(store, 'a.db'));
    db.pragma('journal_mode = wal');
    db.pragma('wal_autocheckpoint = 0');
    db.exec(`create table t(x); insert into t values ('only in the log')`);
    const { copy } = await capture();
    db.close();
    const copied = new Database(join(copy, 'a.db'), { readonly: true });
    expect(copied.prepare('select x from t').pluck().get()).toBe('only in the log');
    copied.close();
  });

  it('fails with BUSY when a writer never lets go, and leaves the store alone', async () => {
    await start(`
      const db = new Database(process.argv[2] + '/a.db');
      db.exec('create table t(x); begin exclusive');
      process.send('ready');
      setInterval(() => undefined, 1000);
    `);
    await expect(capture(200)).rejects.toMatchObject({ code: 'BUSY' });
  });

  it('lets writers go on at once when it fails', async () => {
    const db = new Database(join(store, 'a.db'), { timeout: 0 });
    db.exec('create table t(x)');
    await symlink('/nowhere', join(store, 'link'));
    await expect(capture()).rejects.toMatchObject({ code: 'REFUSED' });
    db.exec('insert into t values (1)');
    db.close();
  });

  it('is byte for byte what the database is at rest, so that a restore can reuse the local file', async () => {
    const db = new Database(join(store, 'a.db'));
    db.exec('create table t(x); insert into t values (1)');
    db.close();
    const { copy } = await capture();
    expect(readFileSync(join(copy, 'a.db')).equals(readFileSync(join(store, 'a.db')))).toBe(true);
  });
});

describe('capture of a plain directory', () => {
  it('is the tree as it stood at one instant', async () => {
    await mkdir(join(store, 'sub'));
    await mkdir(join(store, 'empty'));
    await writeFile(join(store, 'a'), '0');
    await writeFile(join(store, 'sub/b'), '0');
    // Writes a, then b: in every instant a is b or one ahead.
    let n = 0;
    const timer = setInterval(() => {
      n += 1;
      writeFileSync(join(store, 'a'), String(n));
      writeFileSync(join(store, 'sub/b'), String(n));
    }, 120);
    try {
      for (let round = 0; round < 5; round += 1) {
        const { copy, result } = await capture();
        const [a, b] = [Number(readFileSync(join(copy, 'a'))), Number(readFileSync(join(copy, 'sub/b')))];
        expect([b, b + 1]).toContain(a);
        expect(emptyDirectoriesOf(result.source)).toEqual(['empty']);
      }
    } finally {
      clearInterval(timer);
    }
  });

  it('has the directories that came between its looks', async () => {
    let made = 0;
    const now = (): number => {
      made += 1;
      // Whatever asks for the time, one of the first times is between the looks of the first attempt.
      if (made <= 6) mkdirSync(join(store, `d${made}`));
      return systemClock.now();
    };
    const { result } = await capture(10_000, { ...systemClock, now });
    expect(emptyDirectoriesOf(result.source)).toEqual(['d1', 'd2', 'd3', 'd4', 'd5', 'd6']);
  });

  it('fails with BUSY when it never rests', async () => {
    const write = (): void => writeFileSync(join(store, 'a'), String(Math.random()));
    // An empty store is at rest until the first timer fires.
    write();
    const timer = setInterval(write, 2);
    try {
      await expect(capture(300)).rejects.toMatchObject({
        code: 'BUSY',
        message: expect.stringMatching(
          /kept changing for 0\.3 s: "a" \(seen (once|[0-9]+ times)\)$/,
        ) as string,
      });
    } finally {
      clearInterval(timer);
    }
  });
});
