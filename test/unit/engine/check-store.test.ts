import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAgent } from '../../../src/in-process/create-agent.ts';
import type { AgentPorts } from '../../../src/in-process/store-access.ts';
import type { CheckReport } from '../../../src/engine/reading/check-store.ts';
import { createMemoryRemote } from '../../../src/remotes/memory/memory-remote.ts';
import type { StoreUser } from '../../../src/stores/capture/in-use.ts';
import { fingerprintOf, unpackFixture } from '../../support/fixtures.ts';
import { fastTmp } from '../../support/host.ts';

const root = mkdtempSync(join(fastTmp, 'check-store-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const [sound, older] = [join(root, 'sound'), join(root, 'older')];
/** The folder of each collection's index. */
const folders = new Map<string, string>();
let pageBytes = 0;
const rootPages = new Map<string, number>();
beforeAll(() => {
  unpackFixture('chroma-1-b', sound);
  unpackFixture('chroma-1-a', older);
  const db = new Database(join(sound, 'chroma.sqlite3'), { readonly: true });
  const segments = db.prepare("SELECT c.name, s.id FROM segments s JOIN collections c ON c.id = s.collection WHERE s.scope = 'VECTOR'"); // prettier-ignore
  for (const [name, id] of segments.raw().all() as [string, string][]) folders.set(name, id);
  const trees = db.prepare('SELECT name, rootpage FROM sqlite_master WHERE rootpage > 0').raw().all();
  for (const [name, page] of trees as [string, number][]) rootPages.set(name, page);
  pageBytes = db.pragma('page_size', { simple: true }) as number;
  db.close();
});

let made = 0;
function copy(of = sound): string {
  const dir = join(root, String(made++));
  cpSync(of, dir, { recursive: true, preserveTimestamps: true });
  return dir;
}

const nobody: AgentPorts = { findStoreUsers: async () => [] };

/** Checks, and sees on the way that nothing below the directory changed. */
async function check(store: string, ports: AgentPorts = nobody): Promise<CheckReport> {
  const before = fingerprintOf(store);
  const report = await createAgent({ store, remote: '' }, ports).check();
  expect(fingerprintOf(store)).toEqual(before);
  expect(existsSync(join(store, '..', `.${store.split('/').at(-1)}.sync-agent`))).toBe(false);
  return report;
}

const everything = ['alpha-l2', 'beta-cosine', 'delta-unpersisted', 'empty-one', 'gamma-ip'];
type Destroy = (dir: string) => void;

const inDatabase =
  (change: (bytes: Buffer) => void): Destroy =>
  (dir) => {
    const path = join(dir, 'chroma.sqlite3');
    const bytes = readFileSync(path);
    change(bytes);
    writeFileSync(path, bytes);
  };
const page = (name: string): Destroy =>
  inDatabase((bytes) => {
    const number = rootPages.get(name) ?? 0;
    bytes.fill(0xa5, (number - 1) * pageBytes, number * pageBytes);
  });
const withoutFullText: Destroy = (dir) => {
  const db = new Database(join(dir, 'chroma.sqlite3')).unsafeMode(true);
  db.exec('DELETE FROM embedding_fulltext_search_data WHERE id > 10');
  db.close();
};

describe('a destroyed piece of the database is named, with what it concerns and what mends it', () => {
  it.each<[piece: string, Destroy, where: 'damage' | 'findings', kind: string, message: string, command: string, collections: readonly string[]]>([
    ['the header', inDatabase((bytes) => bytes.fill(0, 0, 100)), 'damage', 'database', 'not a database', 'export --salvage --to ./saved', []],
    ['a page of the records', page('embeddings'), 'damage', 'database', '"embeddings"', 'export --salvage --to ./saved', everything],
    ['a page of documents and metadata', page('embedding_metadata'), 'damage', 'database', '"embedding_metadata"', 'export --salvage --to ./saved', everything],
    ['a page of the queue', page('embeddings_queue'), 'damage', 'database', '"embeddings_queue"', 'export --salvage --to ./saved', everything],
    ['a page of the collections', page('collections'), 'damage', 'database', '"collections"', 'export --salvage --to ./saved', []],
    ['a page of an ordinary index', page('embedding_metadata_string_value'), 'findings', 'index', 'index "embedding_metadata_string_value"', 'repair', everything],
    ['rows of the full-text index', withoutFullText, 'findings', 'full-text', 'full-text index does not match', 'repair', everything],
    ['a page of the full-text index', page('embedding_fulltext_search_data'), 'findings', 'full-text', 'full-text index does not match', 'repair', everything],
  ])('%s', async (_, destroy, list, kind, message, command, collections) => {
    const dir = copy();
    destroy(dir);
    const report = await check(dir);
    const problem = report[list].find((each) => each.message.includes(message));
    expect(problem).toMatchObject({ kind, where: 'chroma.sqlite3', command: `sync-agent ${command}` });
    expect(problem?.affects.collections).toEqual(collections);
    expect(report.isSound).toBe(list === 'findings');
  }); // prettier-ignore
});

const files = ['header.bin', 'data_level0.bin', 'length.bin', 'link_lists.bin', 'index_metadata.pickle'];
const ways: Record<string, (path: string, file: string) => void> = {
  truncated: (path) => truncateSync(path, Math.min(99, Math.floor(statSync(path).size / 2))),
  zeroed: (path) => writeFileSync(path, Buffer.alloc(statSync(path).size)),
  missing: (path) => rmSync(path),
  'of another time': (path, file) => cpSync(join(older, folders.get('beta-cosine') ?? '', file), path),
};

describe('a destroyed file of a vector index is named, with its collection', () => {
  it.each(files.flatMap((file) => Object.keys(ways).map((way) => [file, way] as const)))(
    '%s %s',
    async (file, way) => {
      const dir = copy();
      const folder = folders.get('beta-cosine') ?? '';
      ways[way]?.(join(dir, folder, file), file);
      const { damage, isSound } = await check(dir);
      expect(isSound).toBe(false);
      expect(damage).toHaveLength(1);
      expect(damage[0]).toMatchObject({
        kind: 'vector-index',
        where: 'collection "beta-cosine"',
        affects: { collections: ['beta-cosine'], records: 45 },
        command: 'sync-agent repair',
      });
      expect(damage[0]?.message).toContain(`${folder}/`);
      // Of two files that contradict each other nobody can tell which is the old one.
      if (way !== 'of another time') expect(damage[0]?.message).toContain(`${folder}/${file}`);
      expect(damage[0]?.message).not.toContain(root);
    },
  );

  it.each<[string, (lengths: Buffer) => void, message: string]>([
    ['one length that is 0', (lengths) => lengths.writeFloatLE(0, 0), 'has the length 0 for element 0'],
    [
      'lengths of other vectors',
      (lengths) => {
        for (let at = 0; at < lengths.length; at += 4) lengths.writeFloatLE(2 * lengths.readFloatLE(at), at);
      },
      'than that of the vector last written to it',
    ],
  ])('%s in a cosine index', async (_, change, message) => {
    const dir = copy();
    const path = join(dir, folders.get('beta-cosine') ?? '', 'length.bin');
    const lengths = readFileSync(path);
    change(lengths);
    writeFileSync(path, lengths);
    expect((await check(dir)).damage[0]?.message).toContain(message);
  });

  it('the whole folder', async () => {
    const dir = copy();
    rmSync(join(dir, folders.get('gamma-ip') ?? ''), { recursive: true });
    const [problem] = (await check(dir)).damage;
    expect(problem?.affects).toEqual({ collections: ['gamma-ip'], records: 59 });
  });

  it('but not what nobody reads: an index without a pickle, and lengths outside cosine space', async () => {
    const dir = copy();
    rmSync(join(dir, folders.get('delta-unpersisted') ?? '', 'header.bin'), { force: true });
    ways['zeroed']?.(join(dir, folders.get('alpha-l2') ?? '', 'length.bin'), 'length.bin');
    expect((await check(dir)).isSound).toBe(true);
  });
});

describe('check', () => {
  it('counts a sound store', async () => {
    expect(await check(copy())).toMatchObject({
      isSound: true,
      kind: 'chroma',
      source: 'store',
      snapshot: null,
      records: 201,
      damage: [],
      findings: [],
      server: null,
    });
  });

  it('takes the image of a store in use again before it calls it damaged', async () => {
    const dir = copy();
    const server: StoreUser = { pid: 1, command: 'chroma run', executable: undefined, mayWrite: true };
    const pickle = join(dir, folders.get('alpha-l2') ?? '', 'index_metadata.pickle');
    const bytes = readFileSync(pickle);
    truncateSync(pickle, 100);
    const ports: AgentPorts = {
      findStoreUsers: async () => [server],
      emit: (event) => {
        // The first image was taken in the middle of a write that is over now.
        if (event.type === 'phase' && event.phase === 'validate') writeFileSync(pickle, bytes);
      },
    };
    const report = await createAgent({ store: dir, remote: '' }, ports).check();
    expect(report).toMatchObject({ isSound: true, source: 'image' });
  });

  it('names a directory that is not the store in its commands', async () => {
    const dir = copy();
    rmSync(join(dir, folders.get('alpha-l2') ?? '', 'header.bin'));
    const agent = createAgent({ store: join(root, 'nothing'), remote: '' }, nobody);
    const { damage } = await agent.check({ dir });
    expect(damage[0]?.command).toBe(`sync-agent repair --store ${dir}`);
  });

  it('checks a snapshot, whose damage only an export can save', async () => {
    const dir = copy();
    const remote = createMemoryRemote({ now: Date.now });
    const agent = createAgent({ store: dir, remote: 'file:///unused' }, { ...nobody, remote });
    await agent.backup();
    rmSync(join(dir, folders.get('alpha-l2') ?? '', 'header.bin'));
    await agent.backup({ acceptDamage: true });
    const good = await agent.check({ snapshot: '~1' });
    expect(good).toMatchObject({ isSound: true, source: 'snapshot', records: 201 });
    const bad = await agent.check({ snapshot: 'latest' });
    expect(bad.damage[0]?.command).toBe(`sync-agent export --salvage ${bad.snapshot} --to ./saved`);
    expect(bad.snapshot).not.toBe(good.snapshot);
  });

  it('refuses a store of a newer schema, and says which', async () => {
    const dir = copy();
    const db = new Database(join(dir, 'chroma.sqlite3'));
    db.exec("INSERT INTO migrations VALUES ('sysdb', 11, '00011-future.sqlite.sql', '', '')");
    db.close();
    const refused = await check(dir).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'TOO_NEW' });
    expect(String(refused)).toMatch(
      /it has the migrations embeddings_queue 2, metadb \d, sysdb 11; known are those up to embeddings_queue 2, metadb 6, sysdb 10$/,
    );
    const agent = createAgent(
      { store: dir, remote: '' },
      { ...nobody, remote: createMemoryRemote({ now: Date.now }) },
    );
    expect(await agent.backup()).toMatchObject({ type: 'committed' });
  });

  it('works on SQLite databases, whose damage a restore mends, and has no server to ask there', async () => {
    const dir = join(root, 'sqlite');
    await mkdir(dir);
    const db = new Database(join(dir, 'a.db'));
    db.exec("CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(90000)), ('b')");
    db.close();
    expect(await check(dir)).toMatchObject({ isSound: true, kind: 'sqlite', records: 2 });
    const bytes = readFileSync(join(dir, 'a.db'));
    await writeFile(join(dir, 'a.db'), bytes.subarray(0, 20_000));
    const { damage } = await check(dir);
    expect(damage[0]).toMatchObject({
      kind: 'database',
      where: 'a.db',
      command: 'sync-agent restore --force',
    });
    const agent = createAgent({ store: dir, remote: '' }, nobody);
    await expect(agent.check({ server: { url: 'http://127.0.0.1:9' } })).rejects.toMatchObject({
      code: 'USAGE',
    });
  });
});
