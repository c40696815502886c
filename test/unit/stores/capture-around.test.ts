import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';

import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/platform/clock.ts';
import { nodeFileSystem } from '../../../src/platform/file-system.ts';
import { capture } from '../../../src/stores/capture/capture.ts';
import type { Comparer } from '../../../src/stores/capture/delta/comparer.ts';
import { openComparer } from '../../../src/stores/capture/delta/comparer.ts';
import { openImage } from '../../../src/stores/capture/image.ts';
import type { Image } from '../../../src/stores/capture/image.ts';
import { emptyDirectoriesOf, statFileNow } from '../../../src/stores/content/scan.ts';
import { fastTmp } from '../../support/host.ts';
import { sqliteFiles } from '../../../src/stores/sqlite/sqlite-file.ts';
import type { FileSystem } from '../../../src/platform/file-system.ts';
import type { UnfinishedWrites } from '../../../src/stores/store-kind.ts';
import type { Capture } from '../../../src/stores/adapter.ts';

let root: string;
let store: string;
let image: string;
beforeEach(async () => {
  root = await mkdtemp(join(fastTmp, 'sync-agent-around-'));
  [store, image] = [join(root, 'store'), join(root, 'image')];
  for (const dir of [store, image, join(store, 'files'), join(store, 'files/deep')]) await mkdir(dir);
  makeDatabase('a.db', 'first');
  writeFileSync(join(store, 'files/deep/file'), 'first');
  // Files that are newer, so that the fence leaves `file` alone. All are older than a tick.
  await sleep(30);
  await mkdir(join(store, 'newer'));
  for (let index = 0; index < 600; index += 1) writeFileSync(join(store, `newer/${index}`), '');
  await sleep(60);
});
afterEach(() => rm(root, { recursive: true, force: true }));

function makeDatabase(name: string, text: string): void {
  const database = new Database(join(store, name));
  database.exec('create table if not exists t(x)');
  database.prepare('insert into t values (?)').run(text);
  database.close();
}

function rowsOf(path: string): readonly unknown[] {
  const database = new Database(path, { readonly: true });
  try {
    return database.prepare('select x from t').pluck().all();
  } finally {
    database.close();
  }
}

/** What happens in an attempt, with its number. */
interface Events {
  /** After the last look before the fence. */
  readonly beforeFence?: (attempt: number) => void;
  readonly underFence?: (attempt: number) => void;
  /** Before the look after the fence. */
  readonly afterFence?: (attempt: number) => void;
}

interface Circumstances {
  readonly timeoutMs?: number;
  readonly fs?: FileSystem;
  readonly unfinished?: () => UnfinishedWrites;
  readonly monotonic?: () => number;
}

const nothing: UnfinishedWrites = { active: [], stalled: [] };

/** The fence shows from outside: the database cannot be written. */
function isFenced(): boolean {
  const probe = new Database(join(store, 'a.db'), { timeout: 0 });
  try {
    probe.exec('begin immediate; rollback');
    return false;
  } catch {
    return true;
  } finally {
    probe.close();
  }
}

async function captureWith(
  { beforeFence, underFence, afterFence }: Events,
  {
    timeoutMs = 10_000,
    fs = nodeFileSystem,
    unfinished = () => nothing,
    monotonic = () => systemClock.monotonic(),
  }: Circumstances = {},
): Promise<Capture> {
  let attempt = 0;
  let wasFenced = false;
  const watch = <T>(result: T): T => {
    const fenced = isFenced();
    if (fenced && !wasFenced) underFence?.(attempt);
    if (!fenced && wasFenced) afterFence?.(attempt);
    wasFenced = fenced;
    return result;
  };
  const kind = {
    findDatabases: sqliteFiles,
    unfinishedWrites: () => {
      if (!isFenced()) {
        attempt += 1;
        beforeFence?.(attempt);
      }
      return unfinished();
    },
  };
  const clock: typeof systemClock = {
    ...systemClock,
    now: () => watch(systemClock.now()),
    monotonic: () => watch(monotonic()),
  };
  return capture(store, image, kind, { timeoutMs, unfinishedMs: 0, clock, fs });
}

const once =
  (act: () => void) =>
  (attempt: number): void => {
    if (attempt === 1) act();
  };
const write = (text: string): void => writeFileSync(join(store, 'files/deep/file'), text);
const textIn = (dir: string): string => readFileSync(join(dir, 'files/deep/file'), 'utf8');

describe('a capture while only databases change', () => {
  it('needs one attempt, and has what was committed last', async () => {
    const { attempts, longestHoldMs } = await captureWith({
      beforeFence: () => makeDatabase('a.db', 'second'),
      afterFence: () => makeDatabase('a.db', 'third'),
    });
    expect(attempts).toBe(1);
    expect(longestHoldMs).toBeGreaterThan(0);
    expect(rowsOf(join(image, 'a.db'))).toEqual(['first', 'second']);
    expect(textIn(image)).toBe('first');
  });

  it('looks at no other file while writers are held back', async () => {
    const odd = join(store, 'files/odd');
    // A look at it would refuse the store.
    const { attempts } = await captureWith({
      underFence: once(() => symlinkSync('nowhere', odd)),
      afterFence: once(() => rmSync(odd)),
    });
    // The directory was touched.
    expect(attempts).toBe(2);
  });
});

describe('a capture of a database that is written while other files are copied', () => {
  it.each<[string, number, string]>([
    ['for long copies that before writers are held back', 700, 'before the fence'],
    ['for a while copies that before writers are held back', 200, 'before the fence'],
    ['for a moment copies that after they were', 0, 'after the fence'],
  ])('%s', async (_, tookMs, expected) => {
    const written: string[] = [];
    let elapsedMs = 0;
    let wasFenced = false;
    const { attempts } = await captureWith(
      { underFence: () => (wasFenced = true) },
      {
        monotonic: () => elapsedMs,
        fs: {
          ...nodeFileSystem,
          copy: async (from, to, options) => {
            await nodeFileSystem.copy(from, to, options);
            if (!from.endsWith('deep/file')) return;
            makeDatabase('a.db', 'x'.repeat(100_000));
            elapsedMs += tookMs;
          },
          openForWrite: async (path, options) => {
            const when = isFenced() ? 'under the fence' : wasFenced ? 'after the fence' : 'before the fence';
            if (path.endsWith('a.db')) written.push(when);
            return nodeFileSystem.openForWrite(path, options);
          },
        },
      },
    );
    expect(attempts).toBe(1);
    expect(written).toEqual([expected]);
    expect(rowsOf(join(image, 'a.db'))).toEqual(rowsOf(join(store, 'a.db')));
  });
});

describe('a capture while a file changes that was written a moment before', () => {
  const text = (): string => readFileSync(join(image, 'index/data'), 'utf8');
  const writeIndex = (content: string): void => {
    writeFileSync(join(store, 'index/data'), content);
    makeDatabase('a.db', content);
  };
  beforeEach(async () => {
    await mkdir(join(store, 'index'));
    writeIndex('one');
    await sleep(60);
  });

  it.each<[string, Events, string]>([
    ['before the fence', { beforeFence: () => writeIndex('two') }, 'two'],
    ['under the fence', { underFence: () => writeFileSync(join(store, 'index/data'), 'two') }, 'two'],
    ['after the fence', { afterFence: () => writeIndex('two') }, 'one'],
  ])('needs one attempt: %s', async (_, events, expected) => {
    const { attempts, source } = await captureWith(events);
    expect(attempts).toBe(1);
    expect(text()).toBe(expected);
    expect(source.files.find(({ path }) => path === 'index/data')?.size).toBe(3);
    if (events.underFence === undefined) expect(rowsOf(join(image, 'a.db')).at(-1)).toBe(expected);
  });

  it('copies it once a later write would show in its times', async () => {
    let writtenMs = 0;
    let copiedMs = 0;
    const fs: typeof nodeFileSystem = {
      ...nodeFileSystem,
      copy: async (from, to, options) => {
        if (from.endsWith('index/data')) copiedMs = Date.now();
        await nodeFileSystem.copy(from, to, options);
      },
    };
    const underFence = (): void => {
      writeFileSync(join(store, 'index/data'), 'two');
      writtenMs = statSync(join(store, 'index/data')).ctimeMs;
    };
    expect((await captureWith({ underFence }, { fs })).attempts).toBe(1);
    expect(copiedMs - writtenMs).toBeGreaterThanOrEqual(24);
  });

  it('leaves it out if it goes under the fence, beside a database', async () => {
    writeFileSync(join(store, 'note'), 'one');
    await sleep(60);
    const { attempts, source } = await captureWith({ underFence: once(() => rmSync(join(store, 'note'))) });
    expect(attempts).toBe(1);
    expect(source.files.some(({ path }) => path === 'note')).toBe(false);
    expect(existsSync(join(image, 'note'))).toBe(false);
  });

  it('begins anew if that file goes', async () => {
    const { attempts } = await captureWith({ underFence: once(() => rmSync(join(store, 'index/data'))) });
    expect(attempts).toBe(2);
    expect(existsSync(join(image, 'index/data'))).toBe(false);
  });
});

describe('a change that an attempt must not miss', () => {
  const marker = (dir: string): string => join(store, dir, 'marker');
  it.each<[string, Events]>([
    ['a file, before the fence', { beforeFence: once(() => write('second')) }],
    ['a file, under the fence', { underFence: once(() => write('second')) }],
    ['a file, after the fence', { afterFence: once(() => write('second')) }],
    [
      'a file of the same size, with its time set back',
      {
        beforeFence: once(() => {
          write('other');
          utimesSync(join(store, 'files/deep/file'), 1, 1);
        }),
      },
    ],
    [
      'the permissions of a file',
      { beforeFence: once(() => chmodSync(join(store, 'files/deep/file'), 0o600)) },
    ],
    ['the permissions of a directory', { underFence: once(() => chmodSync(store, 0o700)) }],
    [
      'a directory is made, before the fence',
      { beforeFence: once(() => mkdirSync(join(store, 'files/new'))) },
    ],
    ['a directory is made, after the fence', { afterFence: once(() => mkdirSync(join(store, 'new'))) }],
    ['a file goes', { underFence: once(() => rmSync(join(store, 'files/deep/file'))) }],
    ['a directory goes', { beforeFence: once(() => rmSync(join(store, 'files/deep'), { recursive: true })) }],
    ['a database is made, before the fence', { beforeFence: once(() => makeDatabase('b.db', 'new')) }],
    ['a database is made, under the fence', { underFence: once(() => makeDatabase('files/b.db', 'new')) }],
    [
      'a file that is there under the fence only, beside other files',
      {
        beforeFence: once(() => writeFileSync(marker('files'), '')),
        afterFence: once(() => rmSync(marker('files'))),
      },
    ],
    [
      'a file that is there under the fence only, beside a database',
      {
        beforeFence: once(() => writeFileSync(marker('.'), '')),
        afterFence: once(() => rmSync(marker('.'))),
      },
    ],
  ])('is seen: %s', async (_, events) => {
    const { attempts, source } = await captureWith(events);
    expect(attempts).toBe(2);
    for (const file of source.files) {
      expect(statFileNow(store, file.path)).toMatchObject({ ino: file.ino, ctimeNs: file.ctimeNs });
      expect(readFileSync(join(image, file.path)).equals(readFileSync(join(store, file.path)))).toBe(true);
    }
    expect(source.files.map(({ path }) => path).includes('files/deep/file')).toBe(
      statFileNow(store, 'files/deep/file') !== undefined,
    );
  });

  it.each<[string, number, number]>([
    ['begins anew', 0, 2],
    ['is brought up to date with the other file before the fence', 200, 1],
  ])('is a database that is replaced by another file, and %s', async (_, tookMs, expected) => {
    makeDatabase('../other.db', 'other');
    let elapsedMs = 0;
    const beforeFence = once(() => {
      renameSync(join(root, 'other.db'), join(store, 'a.db'));
      elapsedMs += tookMs;
    });
    const { attempts } = await captureWith({ beforeFence }, { monotonic: () => elapsedMs });
    expect(attempts).toBe(expected);
    expect(rowsOf(join(image, 'a.db'))).toEqual(['other']);
  });

  it('is looked for under the fence after two attempts', async () => {
    const { attempts, source } = await captureWith(
      { beforeFence: (attempt) => mkdirSync(join(store, `new-${attempt}`)) },
      { timeoutMs: 4000 },
    );
    expect(attempts).toBe(3);
    expect(emptyDirectoriesOf(source)).toEqual(['new-1', 'new-2', 'new-3']);
  });
});

describe('what was written just now', () => {
  it('is a file that is copied again once a later write would show in its times', async () => {
    write('second');
    const writtenMs = statSync(join(store, 'files/deep/file')).ctimeMs;
    let copiedMs = 0;
    const fs: typeof nodeFileSystem = {
      ...nodeFileSystem,
      copy: async (from, to, options) => {
        if (from.endsWith('deep/file')) copiedMs = Date.now();
        await nodeFileSystem.copy(from, to, options);
      },
    };
    const kind = { findDatabases: sqliteFiles, unfinishedWrites: () => nothing };
    await capture(store, image, kind, { timeoutMs: 10_000, unfinishedMs: 0, clock: systemClock, fs });
    expect(copiedMs - writtenMs).toBeGreaterThanOrEqual(24);
  });

  it('is a directory that is looked at again, even if nothing new is in it', async () => {
    let touchedMs = 0;
    let fencedMs = 0;
    const fs: typeof nodeFileSystem = {
      ...nodeFileSystem,
      copy: async (from, to, options) => {
        await nodeFileSystem.copy(from, to, options);
        if (!from.endsWith('deep/file')) return;
        writeFileSync(join(store, 'files/deep/new'), '');
        rmSync(join(store, 'files/deep/new'));
        touchedMs = statSync(join(store, 'files/deep')).ctimeMs;
      },
    };
    await captureWith({ underFence: () => (fencedMs = Date.now()) }, { fs });
    expect(fencedMs - touchedMs).toBeGreaterThanOrEqual(24);
  });
});

describe('a write that is not finished', () => {
  it('keeps the store from being captured without a look at it under the fence', async () => {
    const began = performance.now();
    const unfinished = () => {
      const file = statFileNow(store, 'files/deep/file');
      return performance.now() - began < 400 && file !== undefined ? { ...nothing, active: [file] } : nothing;
    };
    await captureWith({}, { unfinished, timeoutMs: 100 }).then(
      () => expect(performance.now() - began).toBeGreaterThanOrEqual(400),
      (error: unknown) => expect(error).toMatchObject({ code: 'BUSY' }),
    );
  });
});

describe('a copy of a database', () => {
  let comparisons = 0;
  let copy: Image;
  let now: () => number;
  beforeEach(() => {
    now = systemClock.now;
    const comparer: Comparer = {
      ...openComparer(),
      differingRanges: async (comparison) => {
        comparisons += 1;
        return openComparer().differingRanges(comparison);
      },
    };
    copy = openImage(store, image, { fs: nodeFileSystem, clock: { now: () => now() }, comparer });
  });
  afterEach(() => copy.closeDatabases());

  /** How often the database was compared. */
  const catchUp = async ({
    fenced = [],
    others = [],
  }: { readonly fenced?: readonly string[]; readonly others?: readonly string[] } = {}): Promise<number> => {
    comparisons = 0;
    const files = ['a.db', ...others].map((path) => statFileNow(store, path));
    expect(
      await copy.catchUp(
        files.filter((file) => file !== undefined),
        fenced,
      ),
    ).toBe(true);
    await copy.finish();
    expect(rowsOf(join(image, 'a.db'))).toEqual(rowsOf(join(store, 'a.db')));
    return comparisons;
  };

  it('is not compared while its database has the version that was copied', async () => {
    await copy.openDatabases(['a.db']);
    expect(await catchUp()).toBe(0);
    makeDatabase('a.db', 'second');
    // Written within the last tick: a write that follows might not show.
    expect(await catchUp()).toBe(1);
    expect(await catchUp()).toBe(1);
    await sleep(60);
    expect(await catchUp()).toBe(1);
    expect(await catchUp()).toBe(0);
    await copy.openDatabases(['a.db']);
    expect(comparisons).toBe(0);
  });

  it('is compared once while its writers are held back', async () => {
    await copy.openDatabases(['a.db']);
    makeDatabase('a.db', 'second');
    const fenced = ['a.db'];
    expect(await catchUp({ fenced })).toBe(1);
    expect(await catchUp({ fenced })).toBe(0);
    // Nobody has let them go. It is another version all the same.
    makeDatabase('a.db', 'third');
    expect(await catchUp({ fenced })).toBe(1);
    copy.closeDatabases();
    await copy.openDatabases(['a.db']);
    makeDatabase('a.db', 'fourth');
    expect(await catchUp()).toBe(1);
    expect(await catchUp({ fenced })).toBe(1);
  });

  it('is compared again once they were let go, though it seems to be the same version', async () => {
    // No version is so old that a later write would show.
    now = () => statSync(join(store, 'a.db')).ctimeMs;
    await copy.openDatabases(['a.db']);
    expect(await catchUp({ fenced: ['a.db'] })).toBe(1);
    expect(await catchUp({ fenced: ['a.db'] })).toBe(0);
    copy.closeDatabases();
    await copy.openDatabases(['a.db']);
    expect(await catchUp({ fenced: ['a.db'] })).toBe(1);
  });

  it('is compared again while a log may be moved to it, by whatever name', async () => {
    await copy.openDatabases(['a.db']);
    makeDatabase('a.db', 'second');
    writeFileSync(join(store, 'other-wal'), 'frames');
    for (let round = 0; round < 3; round += 1)
      expect(await catchUp({ fenced: ['a.db'], others: ['other-wal'] })).toBe(1);
  });
});
