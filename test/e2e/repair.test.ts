import { cp, mkdtemp, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { Collection } from 'chromadb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAgent } from '../../src/in-process/create-agent.ts';
import type { StoreRepairResult } from '../../src/engine/mending/repair-store.ts';
import { chromaAvailable, startChromaServer, startMigratedServer } from '../support/chroma-server.ts';
import { destroyPage } from '../support/damage-database.ts';
import type { Fixture } from '../support/fixtures.ts';
import { unpackFixture } from '../support/fixtures.ts';
import { documentOf, metadataOf, vectorOf } from '../support/records.ts';
import type { CollectionSpec } from '../support/records.ts';

const specs: readonly CollectionSpec[] = [
  { name: 'an-l2', space: 'l2', dimension: 16, syncThreshold: 50 },
  { name: 'a-cosine', space: 'cosine', dimension: 24, syncThreshold: 40 },
  { name: 'an-ip', space: 'ip', dimension: 8, syncThreshold: 60 },
];

interface StoredRecord {
  readonly vector: number[];
  readonly text: string;
  readonly metadata: string;
}

/** All records of all collections, as a server answers. */
type Content = ReadonlyMap<string, ReadonlyMap<string, StoredRecord>>;

describe.skipIf(chromaAvailable() !== undefined)('a repaired store, to a real server', () => {
  let root: string;
  let sound: string;
  let expected: Content;

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'sync-agent-repair-'));
    sound = join(root, 'sound');
    const server = await startChromaServer({ path: sound });
    for (const spec of specs) {
      const collection = await server.client.createCollection({
        name: spec.name,
        embeddingFunction: null,
        configuration: {
          hnsw: { space: spec.space, sync_threshold: spec.syncThreshold ?? 50, batch_size: 20 },
        },
      });
      await write(collection, spec, 0, 150);
      // Later vectors of old records, some gone and some of those back, and a rest that is in the queue alone.
      await write(collection, spec, 1000, 30);
      await collection.delete({ ids: Array.from({ length: 20 }, (_, i) => `r${40 + i}`) });
      await write(collection, spec, 50, 5);
      await write(collection, spec, 2000, 17, 400);
    }
    expected = await contentOf(server.client.getCollection.bind(server.client), specs);
    await server.stop();
  });
  afterAll(() => rm(root, { recursive: true, force: true }));

  const repairedCopy = async (
    name: string,
    damage: (dir: string, folders: ReadonlyMap<string, string>) => Promise<unknown>,
    options: { readonly acceptLoss?: boolean } = {},
  ): Promise<{ readonly dir: string; readonly result: StoreRepairResult }> => {
    const dir = join(root, name);
    await cp(sound, dir, { recursive: true });
    await damage(dir, foldersOf(dir));
    const agent = createAgent({ store: dir, remote: '' });
    const result = await agent.repair(options);
    await agent.close();
    return { dir, result };
  };

  it('takes writes again, and finds texts, after its full-text index was destroyed', async () => {
    const damaged = join(root, 'full-text-damaged');
    await cp(sound, damaged, { recursive: true });
    for (const part of ['data', 'idx', 'content', 'docsize'])
      destroyPage(join(damaged, 'chroma.sqlite3'), `embedding_fulltext_search_${part}`);
    const refusing = await startChromaServer({ path: damaged });
    const [first] = specs;
    if (first === undefined) throw new Error('no collection');
    const before = await refusing.client.getCollection({ name: first.name });
    await expect(write(before, first, 3000, 1, 900)).rejects.toThrow();
    await refusing.stop();

    const agent = createAgent({ store: damaged, remote: '' });
    expect(await agent.repair()).toMatchObject({ type: 'repaired', isSound: true, findings: [] });
    await agent.close();
    // What the server refused is in its queue: it is applied now.
    const vector = vectorOf(first, 3000);
    const metadata = textOf(metadataOf(3000));
    const added = { vector, text: documentOf(3000), metadata };
    const all = new Map([...(expected.get(first.name) ?? []), ['r900', added] as const]);
    await expectServed(damaged, new Map([...expected, [first.name, all]]));
  });

  it('has every record after each index lost another file, over two boots', async () => {
    const { dir, result } = await repairedCopy('indexes', async (path, folders) => {
      const folder = (name: string, file: string): string => join(path, folders.get(name) ?? '', file);
      await rm(folder('an-l2', 'header.bin'));
      await writeFile(folder('an-l2', 'link_lists.bin'), Buffer.alloc(500));
      await truncate(folder('a-cosine', 'header.bin'), 40);
      await rm(folder('an-ip', 'length.bin'));
      await rm(folder('an-ip', 'index_metadata.pickle'));
    });
    expect(result).toMatchObject({ type: 'repaired', isSound: true, withheld: [], left: [] });
    expect(result.steps.map(({ type, losses }) => [type, losses.length])).toEqual([
      ['vector-index', 0],
      ['vector-index', 0],
      ['vector-index', 0],
    ]);
    await expectServed(dir, expected);
  });

  it('lacks only the records that were lost, and names each of them', async () => {
    // Sixty elements: 32 links, 24 numbers, a label.
    const broken = (path: string, folders: ReadonlyMap<string, string>): Promise<void> =>
      truncate(join(path, folders.get('a-cosine') ?? '', 'data_level0.bin'), 60 * (4 + 128 + 96 + 8));
    const refused = await repairedCopy('loss-refused', broken);
    expect(refused.result).toMatchObject({
      type: 'nothing-to-do',
      isSound: false,
      withheld: [{ type: 'vector-index', needs: 'accept-loss' }],
    });
    const { dir, result } = await repairedCopy('loss', broken, { acceptLoss: true });
    expect(result).toMatchObject({ type: 'repaired', isSound: true });
    const lost = new Set(result.steps.flatMap(({ losses }) => losses.map(({ id }) => id)));
    expect(lost.size).toBeGreaterThan(10);
    expect(lost.size).toBeLessThan(130);
    const rest = [...(expected.get('a-cosine') ?? [])].filter(([id]) => !lost.has(id));
    await expectServed(dir, new Map([...expected, ['a-cosine', new Map(rest)]]));
  });

  it('keeps the writes that come after its queue was emptied, which a server would drop', async () => {
    const empty = async (path: string): Promise<void> => {
      const db = new Database(join(path, 'chroma.sqlite3'));
      db.exec('DELETE FROM embeddings_queue');
      db.close();
    };
    const dropping = join(root, 'dropping');
    await cp(sound, dropping, { recursive: true });
    await empty(dropping);
    const server = await startChromaServer({ path: dropping });
    const collection = await server.client.getCollection({ name: 'an-l2' });
    await collection.add({ ids: ['acknowledged'], embeddings: [vectorOf(specs[0]!, 1)] });
    expect((await collection.get({ ids: ['acknowledged'] })).ids).toEqual([]);
    await server.stop();

    const { dir, result } = await repairedCopy('queue', empty, { acceptLoss: true });
    expect(result).toMatchObject({ type: 'repaired', isSound: true });
    const lost = new Map<string, Set<string>>();
    for (const { losses } of result.steps)
      for (const { collection: name, id } of losses) lost.set(name, (lost.get(name) ?? new Set()).add(id));
    const rest = [...expected].map(
      ([name, records]) =>
        [name, new Map([...records].filter(([id]) => lost.get(name)?.has(id) !== true))] as const,
    );
    expect([...lost.values()].reduce((sum, ids) => sum + ids.size, 0)).toBeGreaterThan(0);
    await expectServed(dir, new Map(rest));
  });

  it('has every record, found and writable, after maintenance into each journal mode', async () => {
    const dir = join(root, 'maintained');
    await cp(sound, dir, { recursive: true });
    const agent = createAgent({ store: dir, remote: `file://${join(root, 'remote')}` });
    expect(await agent.maintain({ journalMode: 'wal' })).toMatchObject({
      type: 'maintained',
      journalMode: 'wal',
    });
    await expectServed(dir, expected, 1);
    expect(await agent.maintain({ journalMode: 'delete' })).toMatchObject({ journalMode: 'delete' });
    await agent.close();
    await expectServed(dir, expected, 1);
  });

  it.each(['chroma-0.4.24', 'chroma-0.5.5', 'chroma-0.5.23', 'chroma-0.6.3'] as const)(
    'of version %s has every record after its indexes lost their headers and its full text a page',
    async (version: Fixture) => {
      const whole = unpackFixture(version, join(root, `${version}-whole`));
      const dir = join(root, version);
      await cp(whole, dir, { recursive: true });
      for (const folder of foldersOf(dir).values())
        await rm(join(dir, folder, 'header.bin'), { force: true });
      destroyPage(join(dir, 'chroma.sqlite3'), 'embedding_fulltext_search_data');
      const names = [...foldersOf(dir).keys()].map((name) => ({ name }));
      const content = await firstContentOf(whole, names);
      const agent = createAgent({ store: dir, remote: '' });
      expect(await agent.repair()).toMatchObject({
        type: 'repaired',
        isSound: true,
        withheld: [],
        findings: [],
      });
      await agent.close();
      await firstContentOf(dir, names);
      await expectServed(dir, content, 1);
    },
  );
});

async function write(
  collection: Collection,
  spec: CollectionSpec,
  seed: number,
  count: number,
  from = 0,
): Promise<void> {
  const seeds = Array.from({ length: count }, (_, i) => seed + i);
  const idFrom = seed === 50 ? 50 : from;
  await collection.upsert({
    ids: seeds.map((_, i) => `r${idFrom + i}`),
    embeddings: seeds.map((each) => vectorOf(spec, each)),
    documents: seeds.map(documentOf),
    metadatas: seeds.map(metadataOf),
  });
}

/** Vectors of cosine collections come back within float32. */
function isSame(a: StoredRecord, b: StoredRecord | undefined): boolean {
  return (
    b !== undefined &&
    a.text === b.text &&
    a.metadata === b.metadata &&
    a.vector.length === b.vector.length &&
    a.vector.every((each, i) => Math.abs(each - (b.vector[i] ?? NaN)) <= 1e-5 * Math.max(1, Math.abs(each)))
  );
}

/** Metadata in one order. */
function textOf(metadata: object): string {
  return JSON.stringify(Object.entries(metadata).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** The folder of each collection's index, by the collection's name. */
function foldersOf(dir: string): ReadonlyMap<string, string> {
  const db = new Database(join(dir, 'chroma.sqlite3'), { readonly: true });
  const rows = db
    .prepare(
      "SELECT c.name, s.id FROM collections c JOIN segments s ON s.collection = c.id WHERE s.scope = 'VECTOR'",
    )
    .raw()
    .all() as [string, string][];
  db.close();
  return new Map(rows);
}

async function contentOf(
  collectionNamed: (options: { name: string }) => Promise<Collection>,
  names: readonly { readonly name: string }[],
): Promise<Content> {
  const content = new Map<string, Map<string, StoredRecord>>();
  for (const { name } of names) {
    const collection = await collectionNamed({ name });
    const all = await collection.get({ include: ['embeddings', 'documents', 'metadatas'], limit: 5000 });
    expect(await collection.count()).toBe(all.ids.length);
    content.set(
      name,
      new Map(
        all.ids.map((id, i) => [
          id,
          {
            vector: [...(all.embeddings[i] ?? [])],
            text: all.documents[i] ?? '',
            metadata: textOf(all.metadatas[i] ?? {}),
          },
        ]),
      ),
    );
  }
  return content;
}

/** What a server says of a directory that an older version wrote. */
async function firstContentOf(dir: string, names: readonly { readonly name: string }[]): Promise<Content> {
  const server = await startMigratedServer({ path: dir });
  try {
    return await contentOf(server.client.getCollection.bind(server.client), names);
  } finally {
    await server.stop();
  }
}

/** Over so many boots: every record with its vector, each found by it and by its text, and writes. */
async function expectServed(dir: string, expected: Content, boots = 2): Promise<void> {
  for (let boot = 1; boot <= boots; boot++) {
    const server = await startChromaServer({ path: dir });
    try {
      const names = [...expected.keys()].map((name) => ({ name }));
      const content = await contentOf(server.client.getCollection.bind(server.client), names);
      for (const [name, records] of expected) {
        const found: NonNullable<ReturnType<Content['get']>> = content.get(name) ?? new Map();
        expect(new Set(found.keys())).toEqual(new Set(records.keys()));
        const wrong = [...records].filter(([id, record]) => !isSame(record, found.get(id)));
        expect({ name, wrong }).toEqual({ name, wrong: [] });
        const collection = await server.client.getCollection({ name });
        // A search of a thousand vectors takes as long as the rest.
        const ids = [...records.keys()].filter((_, i, { length }) => length < 500 || i % 5 === 0);
        const queried = await collection.query({
          queryEmbeddings: ids.map((id) => records.get(id)?.vector ?? []),
          nResults: 10,
          include: [],
        });
        const missed = ids.filter((id, i) => queried.ids[i]?.includes(id) !== true);
        // An index of a graph leaves the odd vector unreached, in a sound store as well.
        expect(missed.length).toBeLessThanOrEqual(Math.ceil(ids.length / 50));
        await collection.upsert({
          ids: ['after'],
          embeddings: [records.get(ids[0] ?? '')?.vector ?? []],
          documents: [`after boot ${boot} unheardof`],
        });
        const texts = await collection.get({ whereDocument: { $contains: 'unheardof' } });
        expect(texts.documents).toEqual([`after boot ${boot} unheardof`]);
        await collection.delete({ ids: ['after'] });
      }
    } finally {
      await server.stop();
    }
  }
  expect((await readdir(dir)).filter((name) => name.endsWith('-anew'))).toEqual([]);
}
