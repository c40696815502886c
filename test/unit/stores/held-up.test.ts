import { fork, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/platform/clock.ts';
import { detectAdapter } from '../../../src/stores/find-adapter.ts';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';
import type { Capture } from '../../../src/stores/adapter.ts';
import { buildCli } from '../../support/built-cli.ts';

let root: string;
let store: string;
const children: ChildProcess[] = [];

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'sync-agent-held-up-'));
  store = join(root, 'store');
  mkdirSync(store);
});

afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  await rm(root, { recursive: true, force: true });
});

async function capture(timeoutMs: number): Promise<Capture> {
  const copy = join(root, 'copy');
  mkdirSync(copy, { mode: 0o777 });

  const adapter = await detectAdapter(store);
  const options = { timeoutMs, unfinishedMs: 500, clock: systemClock, fs: nodeFileSystem };
  return adapter.capture(store, copy, options);
}

/** Runs a script in a process of its own, with `path` as the name of a database, until it sends its first message. */
async function start(name: string, script: string): Promise<ChildProcess> {
  const file = join(root, `child-${children.length}.cjs`);
  const sqlite = JSON.stringify(createRequire(import.meta.url).resolve('better-sqlite3'));
  writeFileSync(file, `const Database = require(${sqlite});\nconst path = process.argv[2];\n${script}`);
  const child = fork(file, [join(store, name)], { execArgv: [] });
  children.push(child);
  await once(child, 'message');
  return child;
}

function makeDatabase(name: string, mode = 'delete'): void {
  const database = new Database(join(store, name));
  database.pragma(`journal_mode = ${mode}`);
  database.exec('create table t(x); insert into t values (1)');
  database.close();
}

const stay = `process.send('ready'); setInterval(() => undefined, 1000);`;

describe('a lock that is never let go', () => {
  it.each([
    ['an exclusive transaction', 'delete', `db.exec('begin exclusive');`],
    ['a transaction that writes', 'delete', `db.exec('begin immediate; insert into t values (2)');`],
    ['a transaction in WAL mode', 'wal', `db.exec('begin immediate; insert into t values (2)');`],
    [
      'exclusive locking mode',
      'delete',
      `db.pragma('locking_mode = exclusive'); db.exec('insert into t values (2)');`,
    ],
    [
      'exclusive locking mode with WAL',
      'wal',
      `db.pragma('locking_mode = exclusive'); db.exec('insert into t values (2)');`,
    ],
  ])('is told with its holder: %s', async (_, mode, statement) => {
    makeDatabase('a.db', mode);
    const { pid } = await start('a.db', `const db = new Database(path); ${statement} ${stay}`);
    await expect(capture(300)).rejects.toMatchObject({
      code: 'BUSY',
      message: expect.stringMatching(
        process.platform === 'linux' ? new RegExp(`a\\.db".*locked by pid ${pid} \\(node\\)$`) : /locked by/,
      ) as string,
    });
  });

  it('does not make the writers of other databases wait as long as it lasts', async () => {
    for (const name of ['a.db', 'b.db']) makeDatabase(name);
    const writer = await start(
      'a.db',
      `const db = new Database(path, { timeout: 20000 });
       let longestMs = 0;
       const turn = () => {
         const since = performance.now();
         db.exec('update t set x = x + 1');
         longestMs = Math.max(longestMs, performance.now() - since);
         setTimeout(turn, 5);
       };
       turn();
       process.on('message', () => process.send(longestMs));
       process.send('ready');`,
    );
    const holder = await start('b.db', `const db = new Database(path); db.exec('begin immediate'); ${stay}`);
    const timer = setTimeout(() => holder.kill('SIGKILL'), 4000);
    try {
      const { longestHoldMs } = await capture(20_000);
      expect(longestHoldMs).toBeGreaterThan(0);
    } finally {
      clearTimeout(timer);
    }
    writer.send('how long?');
    const [longestMs] = (await once(writer, 'message')) as [number];
    expect(longestMs).toBeLessThan(2500);
  }, 30_000);
});

describe('a database that this user may not write', () => {
  it('is told, and the others are fenced all the same', async () => {
    chmodSync(root, 0o777);
    for (const name of ['a.db', 'b.db', 'c.db']) makeDatabase(name);
    for (const name of ['a.db', 'c.db']) chmodSync(join(store, name), 0o666);
    chmodSync(join(store, 'b.db'), 0o444);
    chmodSync(store, 0o777);
    const isRoot = process.geteuid?.() === 0;
    if (isRoot) process.seteuid?.(65_534);
    try {
      const { unfenced, longestHoldMs } = await capture(5000);
      expect(unfenced).toEqual(['b.db']);
      expect(longestHoldMs).toBeGreaterThan(0);
    } finally {
      if (isRoot) process.seteuid?.(0);
    }
  });
});

describe('a database in WAL mode', () => {
  it('is captured where its shared memory is missing, as after a crash and a copy', async () => {
    const database = new Database(join(store, 'a.db'));
    database.pragma('journal_mode = wal');
    database.exec('create table t(x); insert into t values (42)');
    // What a killed process leaves: a log that holds everything, and no shared memory.
    const log = ['a.db', 'a.db-wal'].map((name) => [name, readFileSync(join(store, name))] as const);
    database.close();
    await rm(store, { recursive: true });
    mkdirSync(store);
    for (const [name, bytes] of log) writeFileSync(join(store, name), bytes);
    const { unfenced } = await capture(5000);
    expect(unfenced).toEqual([]);
    const copy = new Database(join(root, 'copy', 'a.db'), { readonly: true });
    expect(copy.prepare('select x from t').pluck().get()).toBe(42);
    copy.close();
  });
});

describe('a store with more databases than a process may have files open', () => {
  it('is no store that keeps changing: the limit is named, and how to raise it', () => {
    for (let index = 0; index < 60; index += 1) makeDatabase(`tenant-${index}.db`, 'wal');
    const cli = [
      process.execPath,
      buildCli(),
      'backup',
      '--store',
      store,
      '--remote',
      `file://${root}/remote`,
    ];
    const { status, stderr } = spawnSync('sh', ['-c', 'ulimit -n 120; exec "$@"', 'sh', ...cli], {
      encoding: 'utf8',
    });
    expect(stderr).toMatch(/60 databases .* the limit of open files is 120\n.*ulimit -n/);
    expect(status).toBe(7);
  }, 60_000);
});
