import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, describe, expect, test } from 'vitest';
import { readLines } from '../../../src/engine/records/jsonl-file.ts';
import { parseRecordLine } from '../../../src/engine/records/record-line.ts';
import { createAgent } from '../../../src/in-process/create-agent.ts';
import { readRecords } from '../../../src/stores/chroma/records/read-records.ts';
import { readStoredCollections } from '../../../src/stores/chroma/records/stored-collection.ts';
import type { RecordLoss } from '../../../src/stores/record-source.ts';
import { fingerprintOf, unpackFixture } from '../../support/fixtures.ts';
import type { Fixture } from '../../support/fixtures.ts';
import { comparable, differenceOf } from '../../support/server-records.ts';
import type { Comparable } from '../../support/server-records.ts';

const root = mkdtempSync(join(tmpdir(), 'salvage-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let made = 0;
const fresh = (): string => join(root, String(made++));

interface Known {
  readonly isCosine: boolean;
  readonly segment: string;
  readonly records: ReadonlyMap<string, Comparable>;
}

const sound = new Map<Fixture, ReadonlyMap<string, Known>>();

/** Every record of the sound store, by collection. */
function knownOf(fixture: Fixture): ReadonlyMap<string, Known> {
  const known = sound.get(fixture);
  if (known !== undefined) return known;
  const dir = unpackFixture(fixture, fresh());
  const db = new Database(join(dir, 'chroma.sqlite3'), { readonly: true });
  const all = new Map(
    readStoredCollections(db).map((each) => [
      each.name,
      {
        isCosine: each.space === 'cosine',
        segment: each.vectorSegment?.id ?? '',
        records: comparable(readRecords(db, dir, each)),
      },
    ]),
  );
  db.close();
  sound.set(fixture, all);
  return all;
}

interface Outcome {
  /** Records that came back whole. */
  readonly whole: number;
  readonly known: number;
  /** Differences from the sound store that no loss names. */
  readonly silent: readonly string[];
  readonly losses: readonly RecordLoss[];
}

/** Damages a copy, salvages it, and compares each record that is known with what came out and what was said to be lost. */
async function salvage(fixture: Fixture, damage: (dir: string) => void): Promise<Outcome> {
  const known = knownOf(fixture);
  const dir = unpackFixture(fixture, fresh());
  damage(dir);
  const before = fingerprintOf(dir);
  const to = fresh();
  const result = await createAgent({ store: dir, remote: '' }).exportTo(to, { salvage: true });
  expect(fingerprintOf(dir)).toEqual(before);
  const losses: RecordLoss[] = [];
  for await (const { text } of readLines(result.losses?.file ?? ''))
    losses.push(JSON.parse(text) as RecordLoss);
  expect(result.losses?.count).toBe(losses.length);
  let [whole, count] = [0, 0];
  const silent: string[] = [];
  for (const [name, { records, isCosine, segment }] of known) {
    // Without its database a collection is named by the folder of its index.
    const names = [name, segment];
    const file = result.collections.find((each) => names.includes(each.name))?.file;
    const found = [];
    if (file !== undefined) for await (const { text } of readLines(file)) found.push(parseRecordLine(text));
    const saved = comparable(found);
    const mine = losses.filter(({ collection }) => collection === null || names.includes(collection));
    const byId = new Map(mine.map((loss) => [loss.id, loss.missing]));
    // A loss without an id is one of records that nobody can name.
    const unnamed = mine.filter(({ id }) => id === null).flatMap(({ missing }) => missing);
    const ofAny = unnamed.filter((part) => part !== 'record' && part !== 'collection');
    const isAllLost = mine.some(
      ({ id, missing }) => id === null && missing.some((part) => /record|collection/.test(part)),
    );
    for (const [id, expected] of records) {
      count += 1;
      const record = saved.get(id);
      if (differenceOf(record, expected, isCosine) === undefined) whole += 1;
      else if (
        !isNamed(record, expected, isCosine, [...(byId.get(id) ?? []), ...ofAny]) &&
        !(isAllLost && record === undefined)
      ) {
        silent.push(`${name} ${id}: ${differenceOf(record, expected, isCosine)}`);
      }
    }
    for (const id of saved.keys())
      if (!records.has(id) && !byId.has(id)) silent.push(`${name} ${id}: was never there`);
  }
  return { whole, known: count, silent, losses };
}

/** Whether each part that differs is among the missing ones. */
function isNamed(
  found: Comparable | undefined,
  expected: Comparable,
  isCosine: boolean,
  missing: readonly string[],
): boolean {
  if (missing.includes('record')) return true;
  if (found === undefined) return false;
  const parts = { document: null, uri: null, metadata: null, embedding: null };
  const differing = (Object.keys(parts) as (keyof typeof parts)[]).filter((part) => {
    const [a, b] = [{ ...expected, [part]: found[part] }, expected];
    return differenceOf(a, b, isCosine) !== undefined;
  });
  const isCovered = (part: string): boolean =>
    missing.includes(part) ||
    (part === 'embedding' && (missing.includes('length') || missing.includes('newer')));
  return differing.every(isCovered);
}

/** Zeroes the pages of a table or index in the database: leaves, from the middle. */
function zeroPages(dir: string, name: string, pages = 1): void {
  const leaves = pageNumbers(dir, name, "AND pagetype = 'leaf'");
  expect(leaves.length).toBeGreaterThan(0);
  zero(dir, leaves.slice(Math.floor(leaves.length / 2)).slice(0, pages));
}

/** Zeroes the page that leads to all others of a table or index. */
const zeroRoot = (dir: string, name: string): void => zero(dir, pageNumbers(dir, name, "AND path = '/'"));

function pageNumbers(dir: string, name: string, condition: string): readonly number[] {
  const db = new Database(join(dir, 'chroma.sqlite3'), { readonly: true });
  const pages = db.prepare(`SELECT pageno FROM dbstat WHERE name = ? ${condition} ORDER BY pageno`);
  const numbers = pages.pluck().all(name) as number[];
  db.close();
  return numbers;
}

function zero(dir: string, numbers: readonly number[], pageSize = 4096): void {
  const fd = openSync(join(dir, 'chroma.sqlite3'), 'r+');
  for (const number of numbers) writeSync(fd, Buffer.alloc(pageSize), 0, pageSize, (number - 1) * pageSize);
  closeSync(fd);
}

const indexFile =
  (fixture: Fixture, collection: string, name: string) =>
  (dir: string): string =>
    join(dir, knownOf(fixture).get(collection)?.segment ?? '', name);

const zeroFirst = (path: string, bytes: number): void => {
  const fd = openSync(path, 'r+');
  writeSync(fd, Buffer.alloc(bytes), 0, bytes, 0);
  closeSync(fd);
};

describe.each(['chroma-0.6.3', 'chroma-1-b'] as const)('salvaging %s', (fixture) => {
  const collection = fixture === 'chroma-1-b' ? 'alpha-l2' : 'colA';

  test('a sound store: everything, and nothing is lost', async () => {
    const { whole, known, silent, losses } = await salvage(fixture, () => undefined);
    expect({ silent, losses, whole }).toEqual({ silent: [], losses: [], whole: known });
  });

  /** The share of records that must come back whole. */
  test.each([
    ['the header of the database', 1, (dir: string) => zeroFirst(join(dir, 'chroma.sqlite3'), 100)],
    ['a page of the records', 1, (dir: string) => zeroPages(dir, 'embeddings')],
    ['a page of the metadata', 0.6, (dir: string) => zeroPages(dir, 'embedding_metadata')],
    ['a page of the index of records', 1, (dir: string) => zeroPages(dir, 'sqlite_autoindex_embeddings_1')],
    [
      'a page of the index of metadata',
      1,
      (dir: string) => zeroPages(dir, 'sqlite_autoindex_embedding_metadata_1'),
    ],
    ['a page of the full-text index', 1, (dir: string) => zeroPages(dir, 'embedding_fulltext_search_data')],
    ['a page of the queue', 0.8, (dir: string) => zeroPages(dir, 'embeddings_queue')],
    ['the header of an index', 1, (dir: string) => rmSync(indexFile(fixture, collection, 'header.bin')(dir))],
    [
      'the end of an index',
      0.2,
      (dir: string) => {
        const path = indexFile(fixture, collection, 'data_level0.bin')(dir);
        truncateSync(path, Math.floor(readFileSync(path).length / 20));
      },
    ],
    [
      'the links of an index',
      1,
      (dir: string) => truncateSync(indexFile(fixture, collection, 'link_lists.bin')(dir), 10),
    ],
    [
      'the ids of an index',
      0.2,
      (dir: string) => rmSync(indexFile(fixture, collection, 'index_metadata.pickle')(dir)),
    ],
    [
      'half of the ids of an index',
      0.2,
      (dir: string) => {
        const path = indexFile(fixture, collection, 'index_metadata.pickle')(dir);
        truncateSync(path, Math.floor(readFileSync(path).length / 2));
      },
    ],
    [
      'the folder of an index',
      0.2,
      (dir: string) => rmSync(indexFile(fixture, collection, '.')(dir), { recursive: true }),
    ],
    [
      'the lengths of a cosine index',
      0.2,
      (dir: string) => {
        const cosine = fixture === 'chroma-1-b' ? 'beta-cosine' : 'cosB';
        rmSync(indexFile(fixture, cosine, 'length.bin')(dir));
      },
    ],
    ['all of the database', 0, (dir: string) => rmSync(join(dir, 'chroma.sqlite3'))],
    [
      'all but the size of the database',
      0,
      (dir: string) => {
        const path = join(dir, 'chroma.sqlite3');
        writeFileSync(path, Buffer.alloc(readFileSync(path).length));
      },
    ],
  ] as const)('without %s, everything else is saved, and no loss is silent', async (_, share, damage) => {
    const { whole, known, silent } = await salvage(fixture, damage);
    expect(silent).toEqual([]);
    expect(whole).toBeGreaterThanOrEqual(known * share);
  });
});

describe.each(['chroma-0.6.3', 'chroma-1-b'] as const)(
  'salvaging %s, of whose database a page that leads to others is destroyed',
  (fixture) => {
    test.each([
      'embeddings',
      'embedding_metadata',
      'embeddings_queue',
      'segments',
      'max_seq_id',
      'collections',
      'databases',
      'collection_metadata',
      'segment_metadata',
      'embedding_fulltext_search_content',
      'sqlite_autoindex_embeddings_1',
    ])('of %s: every row that is on another page is saved', async (table) => {
      // The root of a table with one page has its rows.
      const isLeaf = isOnePage(fixture, table);
      const { whole, known, silent, losses } = await salvage(fixture, (dir) => zeroRoot(dir, table));
      expect(silent).toEqual([]);
      if (!isLeaf) expect(whole).toBe(known);
      if (!isLeaf && table !== 'embeddings_queue') expect(losses).toEqual([]);
    });
  },
);

// What the list does not name any more is made anew as each version had it.
describe.each(['chroma-0.4.24', 'chroma-0.5.5', 'chroma-0.6.3', 'chroma-1-b'] as const)(
  'salvaging %s, of whose list of tables a page is destroyed',
  (fixture) => {
    test.each([
      ['the first page of the file', 0],
      ['the first part', 1],
      ['the last part', 2],
    ])('%s: everything is saved', async (_, page) => {
      const { whole, known, silent } = await salvage(fixture, (dir) =>
        zero(dir, pageNumbers(dir, 'sqlite_schema', '').slice(page, page + 1)),
      );
      expect({ silent, whole }).toEqual({ silent: [], whole: known });
    });
  },
);

function isOnePage(fixture: Fixture, table: string): boolean {
  return pageNumbers(unpackFixture(fixture, fresh()), table, '').length === 1;
}

const everyPage = 1_000_000;

describe('an index without its pickle', () => {
  const withoutPickle =
    (collection: string) =>
    (dir: string): void =>
      rmSync(indexFile('chroma-1-a', collection, 'index_metadata.pickle')(dir));

  test('gives every vector to its record by the order of both, if one vector proves that', async () => {
    const { whole, known, losses } = await salvage('chroma-1-a', withoutPickle('gamma-ip'));
    expect({ losses, whole }).toEqual({ losses: [], whole: known });
  });

  test('gives none where nothing proves it: each record is named', async () => {
    const { whole, known, silent, losses } = await salvage('chroma-1-a', withoutPickle('beta-cosine'));
    expect(silent).toEqual([]);
    expect(losses.filter(({ id }) => id !== null).length).toBe(known - whole);
    expect(whole).toBeLessThan(known);
  });

  test('gives none where rows of the database are lost: their order may be another one', async () => {
    const { silent } = await salvage('chroma-1-a', (dir) => {
      withoutPickle('gamma-ip')(dir);
      // One vector would still prove the order.
      const db = new Database(join(dir, 'chroma.sqlite3'));
      db.pragma('foreign_keys = off');
      db.exec(`
        UPDATE embeddings SET id = -id WHERE embedding_id IN ('gamma-ip-3', 'gamma-ip-4');
        UPDATE embeddings SET id = -(SELECT min(id) + max(id) FROM embeddings WHERE id < 0) + id WHERE id < 0;
        UPDATE embedding_metadata SET id = -id WHERE id IN (109, 110);
        UPDATE embedding_metadata SET id = 219 + id WHERE id < 0;
      `);
      db.close();
      zeroPages(dir, 'embedding_metadata_array');
    });
    expect(silent).toEqual([]);
  });
});

test('a document whose copies are all lost is named, and nothing else of its record is lost', async () => {
  const { losses, silent } = await salvage('chroma-1-b', (dir) => {
    zeroPages(dir, 'embedding_metadata');
    for (const copy of ['embedding_metadata_string_value', 'embedding_fulltext_search_content'])
      zeroPages(dir, copy, everyPage);
  });
  expect(silent).toEqual([]);
  expect(losses.some(({ id, missing }) => id !== null && missing.includes('document'))).toBe(true);
});

test.each([
  ['embeddings', 'sqlite_autoindex_embeddings_1', 'record'],
  ['embedding_metadata', 'sqlite_autoindex_embedding_metadata_1', 'document'],
] as const)('rows of "%s" that no index names any more are told as lost', async (table, index, part) => {
  const { losses, silent } = await salvage('chroma-1-b', (dir) => {
    zeroPages(dir, table);
    zeroPages(dir, index, everyPage);
  });
  expect(silent).toEqual([]);
  const told = losses.filter(({ id, message }) => id === null && message.includes(`"${table}"`));
  expect(told.length).toBeGreaterThan(0);
  expect(told.every(({ missing }) => missing.includes(part))).toBe(true);
});

test.each([
  ['embeddings_queue', 'chroma-1-b'],
  ['embedding_metadata_array', 'chroma-1-b'],
  ['max_seq_id', 'chroma-1-b'],
  ['collection_metadata', 'chroma-0.6.3'],
  ['segment_metadata', 'chroma-0.6.3'],
] as const)('lost rows of "%s" are told, though nobody knows which: %s', async (table, fixture) => {
  const { losses, silent } = await salvage(fixture, (dir) => zeroPages(dir, table));
  expect(silent).toEqual([]);
  expect(losses.some(({ id, message }) => id === null && message.includes(`"${table}"`))).toBe(true);
});

test('without its database the ids and vectors of each index are left, and all else is named as lost', async () => {
  const { losses } = await salvage('chroma-1-b', (dir) => rmSync(join(dir, 'chroma.sqlite3')));
  const named = losses.filter(({ id }) => id !== null);
  expect(named.length).toBeGreaterThan(150);
  expect(named.every(({ missing }) => missing.includes('metadata'))).toBe(true);
  expect(losses.some(({ message }) => message.includes('chroma.sqlite3 is lost: names'))).toBe(true);
});

test('a salvage replaces no earlier losses without being told', async () => {
  const to = fresh();
  const agent = createAgent({ store: unpackFixture('chroma-1-b', fresh()), remote: '' });
  await agent.exportTo(to, { salvage: true, collections: ['gamma-ip'] });
  rmSync(join(to, 'collections.json'));
  await expect(agent.exportTo(to, { salvage: true, collections: ['alpha-l2'] })).rejects.toMatchObject({
    code: 'REFUSED',
  });
  expect(readdirSync(to).toSorted()).toEqual(['gamma-ip.jsonl', 'losses.jsonl']);
});
