import { appendFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/platform/clock.ts';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';
import { catchUp } from '../../../src/stores/capture/catch-up.ts';
import { catchUpAround } from '../../../src/stores/capture/catch-up-around.ts';
import { catchUpFiles } from '../../../src/stores/capture/catch-up-files.ts';
import { ChangeTally } from '../../../src/stores/capture/change-tally.ts';
import { openComparer } from '../../../src/stores/capture/delta/comparer.ts';
import { openImage } from '../../../src/stores/capture/image.ts';
import { listingsOf } from '../../../src/stores/capture/newcomers.ts';
import { findDatabasesOnce, lookAt, prepare } from '../../../src/stores/capture/prepare.ts';
import { scanStore } from '../../../src/stores/content/scan.ts';
import { sqliteFiles } from '../../../src/stores/sqlite/sqlite-file.ts';
import type { CaughtUp } from '../../../src/stores/capture/catch-up.ts';

let root: string;
let dir: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'sync-agent-unfenced-'));
  dir = join(root, 'store');
  await mkdir(dir);
  await mkdir(join(root, 'image'));
  const database = new Database(join(dir, 'a.db'));
  database.exec('create table t(x)');
  database.close();
  await sleep(60);
});
afterEach(() => rm(root, { recursive: true, force: true }));

const newImage = () =>
  openImage(dir, join(root, 'image'), { fs: nodeFileSystem, clock: systemClock, comparer: openComparer() });

/** `before` happens before the last look before the fence, the others as they are called. */
async function captureUnfenced({
  before,
  underFence,
  afterFence,
}: {
  readonly before?: () => void;
  readonly underFence?: () => void;
  readonly afterFence?: () => void;
}): Promise<CaughtUp | undefined> {
  const image = newImage();
  const tally = new ChangeTally();
  const kind = { findDatabases: sqliteFiles, unfinishedWrites: () => ({ active: [], stalled: [] }) };
  const options = { clock: systemClock, fs: nodeFileSystem, timeoutMs: 5000, unfinishedMs: 0 };
  const find = findDatabasesOnce(dir, kind);
  const findDatabases: typeof find = async (scan) => {
    const found = await find(scan);
    before?.();
    return found;
  };
  const subject = { dir, kind, image, tally, findDatabases };
  const prepared = await prepare(subject, { ...options, deadline: Infinity, before: undefined });
  if (prepared === undefined) throw new Error('the databases vanished');
  const listings = listingsOf(dir, prepared.look, prepared);
  underFence?.();
  const fence = { unfenced: [{ path: 'a.db', reason: 'denied' as const }], release: () => 0 };
  try {
    const unconfirmed = await catchUpAround(
      { dir, image, prepared, listings, fence, tally },
      { ...options, patienceMs: 100, budgetBytes: 1e6 },
    );
    afterFence?.();
    return await unconfirmed?.confirm(await lookAt(dir, options));
  } finally {
    image.closeDatabases();
  }
}

const write = (): void => appendFileSync(join(dir, 'a.db'), 'x');
const beginTransaction = (): void => writeFileSync(join(dir, 'a.db-journal'), 'pages');

describe('a database whose writers cannot be held back', () => {
  it('is captured while nobody writes it', async () => {
    expect((await captureUnfenced({}))?.source.files.map(({ path }) => path)).toEqual(['a.db']);
    expect(await readFile(join(root, 'image/a.db'))).toEqual(await readFile(join(dir, 'a.db')));
  });

  it.each([
    ['while others are held back', { underFence: write }],
    ['after that', { afterFence: write }],
  ])('is not captured if it is written %s', async (_, events) => {
    expect(await captureUnfenced(events)).toBeUndefined();
  });

  it.each([
    ['began before the fence', { before: beginTransaction }],
    ['began after it', { afterFence: beginTransaction }],
    [
      'began before the fence, and ended after it,',
      { before: beginTransaction, afterFence: () => rmSync(join(dir, 'a.db-journal')) },
    ],
  ])('is not captured if a transaction %s', async (_, events) => {
    expect(await captureUnfenced(events)).toBeUndefined();
  });
});

describe('a look at all files under the fence', () => {
  it.each([
    ['leaves a fenced database out that was read', [], ['a.db']],
    ['does so with no other', [{ path: 'a.db', reason: 'denied' as const }], []],
  ])('%s', async (_, unfenced, expected) => {
    const image = newImage();
    await image.openDatabases(['a.db']);
    const told: (readonly string[])[] = [];
    const watched: typeof image = {
      ...image,
      catchUp: (files, fenced) => {
        told.push(fenced);
        return image.catchUp(files, fenced);
      },
    };
    const kind = { findDatabases: sqliteFiles, unfinishedWrites: () => ({ active: [], stalled: [] }) };
    const fence = { unfenced, release: () => 0 };
    try {
      await catchUp(
        { dir, kind, image: watched, databases: ['a.db'], fence, tally: new ChangeTally() },
        {
          clock: systemClock,
          fs: nodeFileSystem,
          timeoutMs: 5000,
          unfinishedMs: 0,
          patienceMs: 0,
          budgetBytes: 1e6,
        },
      );
    } finally {
      image.closeDatabases();
    }
    expect(told).toEqual([expected]);
  });
});

describe('a fenced database', () => {
  it('is caught up with again if a checkpoint writes it meanwhile', async () => {
    const image = newImage();
    await image.openDatabases(['a.db']);
    let rounds = 0;
    const busy: typeof image = {
      ...image,
      catchUp: async (...args) => {
        const isSame = await image.catchUp(...args);
        if ((rounds += 1) === 1) write();
        return isSame;
      },
    };
    const subject = {
      dir,
      image: busy,
      databases: ['a.db'],
      others: [],
      judge: () => ({ active: [], stalled: [] }),
      tally: new ChangeTally(),
    };
    try {
      const files = await catchUpFiles(subject, {
        clock: systemClock,
        fs: nodeFileSystem,
        timeoutMs: 5000,
        unfinishedMs: 0,
        patienceMs: 5000,
        budgetBytes: 1e6,
      });
      expect(rounds).toBe(2);
      expect(files).toHaveLength(1);
      await image.finish();
      expect(await readFile(join(root, 'image/a.db'))).toEqual(await readFile(join(dir, 'a.db')));
    } finally {
      image.closeDatabases();
    }
  });
});

describe('the search for databases', () => {
  it('asks once of each version of a file, and remembers the answer', async () => {
    const asked: string[][] = [];
    const find = findDatabasesOnce(dir, {
      findDatabases: async (_, { files }) => {
        asked.push(files.map(({ path }) => path));
        return sqliteFiles(dir, { files });
      },
      unfinishedWrites: () => ({ active: [], stalled: [] }),
    });
    writeFileSync(join(dir, 'plain'), 'text');
    expect(await find(await scanStore(dir))).toEqual(['a.db']);
    writeFileSync(join(dir, 'plain'), 'SQLite format 3\0');
    expect(await find(await scanStore(dir))).toEqual(['a.db', 'plain']);
    rmSync(join(dir, 'plain'));
    expect(await find(await scanStore(dir))).toEqual(['a.db']);
    expect(asked).toEqual([['a.db', 'plain'], ['plain'], []]);
  });
});
