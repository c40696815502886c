import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/platform/clock.ts';
import { scanStore } from '../../../src/stores/content/scan.ts';
import { adapterNamed } from '../../../src/stores/find-adapter.ts';
import type { StoreAtRest } from '../../../src/stores/adapter.ts';
import { unpackFixture } from '../../support/fixtures.ts';
import { fastTmp } from '../../support/host.ts';

let dir = '';
let db: Database.Database | undefined;
beforeEach(async () => {
  dir = await mkdtemp(join(fastTmp, 'at-rest-'));
});
afterEach(async () => {
  db?.close();
  db = undefined;
  await rm(dir, { recursive: true, force: true });
});

const look = (kind = 'sqlite', now = systemClock.now): Promise<StoreAtRest | undefined> =>
  adapterNamed(kind).lookAtRest(dir, { clock: { ...systemClock, now }, unfinishedMs: 500 });

async function resting(kind = 'sqlite'): Promise<StoreAtRest> {
  const found = await look(kind);
  if (found === undefined) throw new Error('somebody works in it');
  return found;
}

function open(sql: string): Database.Database {
  db = new Database(join(dir, 'app.db'));
  db.exec(sql);
  return db;
}

function make(sql = ''): void {
  open(`CREATE TABLE t(x); INSERT INTO t VALUES ('before'); ${sql}`).close();
}

/** Writes to the database in another process. */
async function writeElsewhere(): Promise<{ readonly done: Promise<unknown> }> {
  const module = JSON.stringify(createRequire(import.meta.url).resolve('better-sqlite3'));
  const script = `const db = new (require(${module}))(process.argv[1], { timeout: 60_000 });
    db.exec("BEGIN IMMEDIATE; UPDATE t SET x = 'after!'"); process.stdout.write('begun'); db.exec('COMMIT')`;
  const child = spawn(process.execPath, ['-e', script, join(dir, 'app.db')]);
  const done = once(child, 'exit');
  await once(child.stdout, 'data');
  return { done };
}

describe('a store in which nobody works', () => {
  it('is read where it lies, also when it was written a moment ago', async () => {
    make();
    await writeFile(join(dir, 'notes'), 'one');
    const { scan, isUntouched } = await resting();
    expect(scan.files.map(({ path }) => path)).toEqual(['app.db', 'notes']);
    expect(await isUntouched()).toBe(true);
  });

  it('is a Chroma directory, too', async () => {
    unpackFixture('chroma-1-a', dir);
    const { isUntouched } = await resting('chroma');
    expect(await isUntouched()).toBe(true);
  });

  it.each<[string, () => Promise<void>]>([
    ['a file is written with as many bytes', () => writeFile(join(dir, 'notes'), 'two')],
    [
      'a file is replaced by one of equal times',
      async () => {
        const { atime, mtime } = await stat(join(dir, 'notes'));
        await writeFile(join(dir, 'new'), 'two');
        await utimes(join(dir, 'new'), atime, mtime);
        await rename(join(dir, 'new'), join(dir, 'notes'));
      },
    ],
    ['a file is added', () => writeFile(join(dir, 'more'), '')],
    ['a directory is added', () => mkdir(join(dir, 'more'))],
    ['a file is removed', () => rm(join(dir, 'notes'))],
    ['a transaction commits', async () => void open("UPDATE t SET x = 'after!'").close()],
    ['a transaction is open', async () => void open('BEGIN IMMEDIATE')],
    ['it gets into WAL mode', async () => void open('PRAGMA journal_mode = wal').close()],
  ])('is touched when %s', async (_, write) => {
    make();
    await writeFile(join(dir, 'notes'), 'one');
    const { isUntouched } = await resting();
    await write();
    expect(await isUntouched()).toBe(false);
  });

  it('lets a writer pass that comes while it is read, and tells that it has written', async () => {
    make();
    const { letPass } = await resting();
    const reader = open('BEGIN');
    reader.prepare('SELECT * FROM t').all();
    const writer = await writeElsewhere();
    // It has begun, and waits for the reader to commit.
    expect(existsSync(join(dir, 'app.db-journal'))).toBe(true);
    expect(letPass()).toBe(true);
    await writer.done;
    expect(letPass()).toBe(false);
  });

  it('tells a database that has gone', async () => {
    make();
    const { letPass } = await resting();
    await rm(join(dir, 'app.db'));
    expect(letPass()).toBe(false);
  });
});

describe('a store in which somebody may work', () => {
  it.each<[string, () => Promise<void> | void]>([
    ['has an open transaction', () => void open('CREATE TABLE t(x); BEGIN IMMEDIATE')],
    ['has a journal', async () => (make(), writeFile(join(dir, 'app.db-journal'), 'x'))],
    ['has a log', async () => (make(), writeFile(join(dir, 'app.db-wal'), 'x'))],
    ['would get a log from its readers', () => make('PRAGMA journal_mode = wal')],
    ['holds what is no regular file', () => symlink('app.db', join(dir, 'link'))],
    [
      'has a database that cannot be locked',
      () => writeFile(join(dir, 'app.db'), 'SQLite format 3\0 and no more'),
    ],
  ])('%s, and is not read where it lies', async (_, arrange) => {
    await arrange();
    expect(await look()).toBeUndefined();
  });

  it('has files that are written again and again', async () => {
    const notes = join(dir, 'notes');
    await writeFile(notes, 'one');
    const later = Date.now() + 10_000;
    await utimes(notes, later / 1000, later / 1000);
    // Whenever it is looked at, the file was written just then.
    expect(await look('files', () => later + 5)).toBeUndefined();
    expect(await look('files', () => later + 1000)).toBeDefined();
  });

  it('was written after the look that it is compared with', async () => {
    make();
    const adapter = adapterNamed('sqlite');
    const seen = { scan: await scanStore(dir), lookedAtMs: Date.now() + 1000 };
    const options = { clock: systemClock, unfinishedMs: 500, seen };
    expect(await adapter.lookAtRest(dir, options)).toBeDefined();
    open("UPDATE t SET x = 'after!'").close();
    expect(await adapter.lookAtRest(dir, options)).toBeUndefined();
  });

  it('has an index in the middle of a persist', async () => {
    unpackFixture('chroma-1-a', dir);
    const pickle = (await resting('chroma')).scan.files.find(({ path }) => path.endsWith('.pickle'));
    const header = join(dir, pickle?.path ?? '', '..', 'header.bin');
    await utimes(header, new Date(), new Date());
    expect(await look('chroma')).toBeUndefined();
  });
});
