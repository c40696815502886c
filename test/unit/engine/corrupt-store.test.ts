import { chmod, lstat, mkdtemp, readFile, readdir, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { Remote } from '../../../src/remotes/remote.ts';
import { fingerprintOf, unpackFixture } from '../../support/fixtures.ts';
import { fastTmp, makeHost } from '../../support/host.ts';
import type { Host } from '../../support/host.ts';

let root = '';
let remote: Remote;
let host: Host;
beforeEach(async () => {
  root = await mkdtemp(join(fastTmp, 'corrupt-store-'));
  remote = createMemoryRemote({ now: Date.now });
  host = await makeHost({ remote, root, ports: { findStoreUsers: async () => [] } });
  unpackFixture('chroma-1-a', host.store);
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** As a bad disk does it: the times stay. */
async function damage(path: string, change: (path: string) => Promise<unknown>): Promise<void> {
  const stats = await lstat(path);
  await change(path);
  await utimes(path, stats.atime, stats.mtime);
}

/** The database, or a file of an index that was persisted: what Chroma allots before that, it does not read. */
async function fileNamed(name: string): Promise<string> {
  if (name === 'chroma.sqlite3') return join(host.store, name);
  const paths = await readdir(host.store, { recursive: true });
  const pickle = paths.find((path) => path.endsWith('index_metadata.pickle'));
  if (pickle === undefined) throw new Error('the fixture has no persisted index');
  return join(host.store, dirname(pickle), name);
}

const overwrite = (share: number, length: number) => async (path: string) => {
  const bytes = await readFile(path);
  bytes.fill(0xa5, Math.floor(bytes.length * share), Math.floor(bytes.length * share) + length);
  await writeFile(path, bytes);
};

const damages: Record<string, () => Promise<void>> = {
  'a database that lost its second half': async () =>
    damage(await fileNamed('chroma.sqlite3'), async (path) => truncate(path, (await lstat(path)).size >> 1)),
  'a database with garbage in its middle': async () =>
    damage(await fileNamed('chroma.sqlite3'), overwrite(0.3, 20_000)),
  'a database with another header': async () =>
    damage(await fileNamed('chroma.sqlite3'), overwrite(0.00001, 100)),
  'a database that is empty': async () =>
    damage(await fileNamed('chroma.sqlite3'), (path) => truncate(path, 0)),
  'a database without one of its tables': async () => {
    const database = new Database(await fileNamed('chroma.sqlite3'));
    database.exec('PRAGMA foreign_keys = off; DROP TABLE collections');
    database.close();
  },
  // Most of the file is allotted ahead and never read: a lost half may be none of the index.
  'an index that lost its end': async () =>
    damage(await fileNamed('data_level0.bin'), async (path) => truncate(path, (await lstat(path)).size >> 4)),
  'an index header of garbage': async () => damage(await fileNamed('header.bin'), overwrite(0, 40)),
  'an index without its links': async () => rm(await fileNamed('link_lists.bin')),
  'an index with garbage for metadata': async () =>
    damage(await fileNamed('index_metadata.pickle'), overwrite(0.2, 200)),
};

describe('a damaged Chroma store', () => {
  it.each(Object.keys(damages))('%s: is reported, and never committed', async (name) => {
    const first = await host.agent.backup();
    if (first.type !== 'committed') throw new Error('the fixture is not sound');
    await damages[name]?.();
    const before = fingerprintOf(host.store);

    await expect(host.agent.backup({ force: true, allowShrink: true })).rejects.toMatchObject({
      code: 'STORE_CORRUPT',
      exitCode: 5,
      remedy: expect.stringContaining('last good snapshot') as string,
    });

    expect(fingerprintOf(host.store)).toEqual(before);
    expect((await host.agent.list()).map((entry) => entry.id)).toEqual([first.id]);
    expect((await host.agent.verify({ all: true, readData: true })).isSound).toBe(true);
    expect(await readdir(join(root, '.store.sync-agent'))).not.toContain('staging');
    await host.agent.restore({ force: true });
    const bare = await makeHost({ remote, root: join(root, 'bare') });
    await bare.agent.restore();
    expect(await readFile(await fileNamed('chroma.sqlite3'))).toEqual(
      await readFile(join(bare.store, 'chroma.sqlite3')),
    );
  });

  it('is no first snapshot either, and is not replaced by sync where its origin is unknown', async () => {
    await damages['an index that lost its end']?.();
    await expect(host.agent.backup()).rejects.toMatchObject({ code: 'STORE_CORRUPT' });
    expect(await host.agent.list()).toEqual([]);
    const other = await makeHost({ remote, root: join(root, 'other') });
    unpackFixture('chroma-1-b', other.store);
    await other.agent.backup();
    await expect(host.agent.sync()).rejects.toMatchObject({ code: 'STORE_CORRUPT' });
    expect(await host.agent.rollbackCopies()).toEqual([]);
  });

  it('is not made worse by looking at it: verify, status and doctor change nothing', async () => {
    await host.agent.backup();
    await damages['a database with garbage in its middle']?.();
    const before = fingerprintOf(host.store);
    await host.agent.status();
    const report = await host.agent.doctor();
    await host.agent.verify();
    expect(report.worst).toBe('STORE_CORRUPT');
    expect(fingerprintOf(host.store)).toEqual(before);
  });
});

describe('the shrink guard', () => {
  it('keeps an empty Chroma store from becoming the newest, as applications make one at boot', async () => {
    const first = await host.agent.backup();
    if (first.type !== 'committed') throw new Error('the fixture is not sound');
    const database = new Database(await fileNamed('chroma.sqlite3'));
    database.exec(
      'PRAGMA foreign_keys = off; DELETE FROM collections; DELETE FROM segments; DELETE FROM embeddings',
    );
    database.close();
    await expect(host.agent.backup()).rejects.toMatchObject({
      code: 'REFUSED',
      exitCode: 10,
      message: expect.stringContaining(first.id) as string,
      remedy: expect.stringContaining('--allow-shrink') as string,
    });
    expect((await host.agent.list()).map((entry) => entry.id)).toEqual([first.id]);
    expect((await host.agent.backup({ allowShrink: true })).type).toBe('committed');
  });

  it('stands against a store of unknown origin, too', async () => {
    await host.agent.backup();
    const other = await makeHost({ remote, root: join(root, 'other') });
    await other.write({ 'chroma.sqlite3': '' });
    await expect(other.agent.backup()).rejects.toMatchObject({
      code: expect.stringMatching(/REFUSED|STORE_CORRUPT/) as string,
    });
    await chmod(other.store, 0o700);
    expect(await host.agent.list()).toHaveLength(1);
  });

  it('lets a store that lost less than half pass, and one that lost a record more than half not', async () => {
    const plain = await makeHost({
      remote: createMemoryRemote({ now: Date.now }),
      root: join(root, 'plain'),
    });
    const files = Object.fromEntries(Array.from({ length: 10 }, (_, n) => [`f${n}`, 'x']));
    await plain.write(files);
    await plain.agent.backup();
    for (const n of [0, 1, 2, 3, 4]) await rm(join(plain.store, `f${n}`));
    expect((await plain.agent.backup()).type).toBe('committed');
    for (const n of [5, 6, 7]) await rm(join(plain.store, `f${n}`));
    await expect(plain.agent.backup()).rejects.toMatchObject({ code: 'REFUSED' });
  });
});

describe('a store with a finding', () => {
  /** As a text with a NUL character does to SQLite 3.5x: the full-text index is called malformed, and nothing is lost. */
  const unindex = (): void => {
    const database = new Database(join(host.store, 'chroma.sqlite3'));
    database.unsafeMode().exec("UPDATE embedding_fulltext_search_content SET c0 = 'x' WHERE id = 7");
    database.close();
  };

  it('is committed, recorded, told with what mends it, and restored', async () => {
    unindex();
    const result = await host.agent.backup();
    expect(result).toMatchObject({ type: 'committed', findings: [{ kind: 'full-text' }], damage: [] });
    expect(host.events).toContainEqual(
      expect.objectContaining({
        type: 'warning',
        remedy: expect.stringContaining('sync-agent repair') as string,
      }),
    );
    const [entry] = await host.agent.list();
    expect(entry).toMatchObject({ findings: 1 });
    expect(entry).not.toHaveProperty('damaged');
    expect(await host.agent.show('latest')).toMatchObject({ findings: [{ where: 'chroma.sqlite3' }] });
    expect((await host.agent.status()).problems).toMatchObject({
      damage: [],
      findings: [{ kind: 'full-text' }],
    });
    const path = join(host.store, 'chroma.sqlite3');
    const before = await readFile(path);
    await rm(host.store, { recursive: true });
    expect(await host.agent.restore()).toMatchObject({ type: 'restored' });
    expect((await readFile(path)).equals(before)).toBe(true);
  });

  it('with a broken index of SQLite, hides nothing that is wrong with the records', async () => {
    const database = new Database(join(host.store, 'chroma.sqlite3'));
    const [page, pageBytes] = [
      database
        .prepare("SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_embeddings_1'")
        .pluck()
        .get(),
      database.pragma('page_size', { simple: true }),
    ] as [number, number];
    database.close();
    const spoil = async (path: string): Promise<void> => {
      const bytes = await readFile(path);
      bytes.fill(0xa5, (page - 1) * pageBytes + 8, (page - 1) * pageBytes + 64);
      await writeFile(path, bytes);
    };
    await spoil(join(host.store, 'chroma.sqlite3'));
    const first = await host.agent.backup();
    expect(first).toMatchObject({
      type: 'committed',
      findings: expect.arrayContaining([expect.objectContaining({ kind: 'index' })]) as unknown,
      records: 141,
    });
    await damages['an index with garbage for metadata']?.();
    await expect(host.agent.backup({ force: true })).rejects.toMatchObject({ code: 'STORE_CORRUPT' });
  });
});

describe('a damaged store that a person has committed', () => {
  let made: Host | undefined;
  afterEach(async () => made?.remove());
  const makeOther = async (): Promise<Host> =>
    (made = await makeHost({ remote, ports: { findStoreUsers: async () => [] } }));

  it('is marked and pinned, not what a plain restore takes, and never pushes out the last sound snapshot', async () => {
    const first = await host.agent.backup();
    const sound = first.type === 'committed' ? first.id : '';
    await damages['an index header of garbage']?.();
    const second = await host.agent.backup({ acceptDamage: true });
    expect(second).toMatchObject({ type: 'committed', parent: sound, damage: [{ kind: 'vector-index' }] });
    const damaged = second.type === 'committed' ? second.id : '';
    expect(await host.agent.list()).toMatchObject([
      { id: sound },
      { id: damaged, damaged: true, pin: { reason: expect.stringContaining('damaged') as string } },
    ]);

    const other = await makeOther();
    expect(await other.agent.restore()).toMatchObject({ type: 'restored', id: sound });
    expect(await other.agent.restore({ snapshot: damaged })).toMatchObject({ type: 'restored', id: damaged });
    expect(other.events).toContainEqual(
      expect.objectContaining({
        type: 'warning',
        code: 'STORE_CORRUPT',
        message: expect.stringContaining(damaged) as string,
      }),
    );
    expect(await other.agent.restore({ snapshot: damaged })).toMatchObject({ type: 'equal' });
    // That somebody had it committed is no reason to start on it.
    await expect(host.agent.restore()).rejects.toMatchObject({ code: 'STORE_CORRUPT' });
    await expect(host.agent.assertSound()).rejects.toMatchObject({ code: 'STORE_CORRUPT' });
    expect(await host.agent.restore({ onDamage: 'recover' })).toMatchObject({ type: 'restored', id: sound });
  });

  it('is no divergence: what a plain restore takes goes on, and the next backup makes it the newest', async () => {
    const sound = await host.agent.backup();
    await damages['an index header of garbage']?.();
    await host.agent.backup({ acceptDamage: true });
    const other = await makeOther();
    const id = sound.type === 'committed' ? sound.id : '';
    expect(await other.agent.restore()).toMatchObject({ type: 'restored', id, tips: [] });
    expect(await other.agent.backup()).toMatchObject({ type: 'committed', diverged: [], uploadBytes: 0 });
    expect(await other.agent.status()).toMatchObject({ relation: 'up-to-date', tips: [expect.any(String)] });
    expect(await other.agent.list()).toHaveLength(3);
  });

  it('is a divergence still, where another host wrote beside it', async () => {
    await host.agent.backup();
    const other = await makeOther();
    await other.agent.restore();
    await damages['an index header of garbage']?.();
    const damaged = await host.agent.backup({ acceptDamage: true });
    const tip = damaged.type === 'committed' ? damaged.id : '';
    await writeFile(join(other.store, 'note.txt'), 'written elsewhere');
    const beside = await other.agent.backup();
    const id = beside.type === 'committed' ? beside.id : '';
    expect(beside).toMatchObject({ diverged: [tip, id] });
    const third = await makeHost({ remote, ports: { findStoreUsers: async () => [] } });
    try {
      expect(await third.agent.restore()).toMatchObject({ type: 'restored', id, tips: [tip] });
    } finally {
      await third.remove();
    }
  });

  it('as the only snapshot is no answer to a plain restore, and is named', async () => {
    await damages['an index header of garbage']?.();
    await expect(host.agent.backup()).rejects.toMatchObject({
      code: 'STORE_CORRUPT',
      remedy: expect.stringMatching(/no snapshot of it yet.*--accept-damage/) as string,
    });
    const result = await host.agent.backup({ acceptDamage: true });
    const id = result.type === 'committed' ? result.id : '';
    const other = await makeOther();
    await expect(other.agent.restore()).rejects.toMatchObject({
      code: 'SNAPSHOT_CORRUPT',
      remedy: expect.stringContaining(`--snapshot ${id}`) as string,
    });
  });
});
