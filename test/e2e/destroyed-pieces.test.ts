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
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, describe, expect, test } from 'vitest';
import { readLines } from '../../src/engine/records/jsonl-file.ts';
import { parseRecordLine } from '../../src/engine/records/record-line.ts';
import { createAgent } from '../../src/in-process/create-agent.ts';
import { readRecords } from '../../src/stores/chroma/records/read-records.ts';
import { readStoredCollections } from '../../src/stores/chroma/records/stored-collection.ts';
import type { RecordLoss } from '../../src/stores/record-source.ts';
import { chromaAvailable, startChromaServer } from '../support/chroma-server.ts';
import { destroyPage, pagesOf } from '../support/damage-database.ts';
import { unpackFixture } from '../support/fixtures.ts';
import { comparable, differenceOf, serverRecords } from '../support/server-records.ts';
import type { Comparable } from '../support/server-records.ts';

const root = mkdtempSync(join(tmpdir(), 'pieces-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let made = 0;
const fresh = (): string => join(root, String(made++));
const sound = unpackFixture('chroma-1-b', fresh());
const older = unpackFixture('chroma-1-a', fresh());

interface Known {
  readonly isCosine: boolean;
  readonly folder: string;
  readonly records: ReadonlyMap<string, Comparable>;
}

/** The oracle: every record of every collection. */
const known: ReadonlyMap<string, Known> = (() => {
  const db = new Database(join(sound, 'chroma.sqlite3'), { readonly: true });
  const all = readStoredCollections(db).map(
    (each) =>
      [
        each.name,
        {
          isCosine: each.space === 'cosine',
          folder: each.vectorSegment?.id ?? '',
          records: comparable(readRecords(db, sound, each)),
        },
      ] as const,
  );
  db.close();
  return new Map(all);
})();

/** What mends it, by `check`; and how many of the 201 records come back whole, at least. */
interface Piece {
  readonly name: string;
  readonly destroy: (dir: string) => void;
  readonly command: 'repair' | 'export --salvage --to ./saved';
  readonly whole: number;
}

const page = (object: string, which: 'first' | 'last', whole = 201): Piece => ({
  name: `the ${which} page of ${object}`,
  destroy: (dir) => {
    const path = join(dir, 'chroma.sqlite3');
    destroyPage(path, object, pagesOf(path, object).at(which === 'first' ? 0 : -1));
  },
  command: /index|embedding_metadata_.*value|fulltext/.test(object)
    ? 'repair'
    : 'export --salvage --to ./saved',
  whole,
});

const ways = {
  truncated: (path: string) => truncateSync(path, Math.min(99, Math.floor(statSync(path).size / 2))),
  zeroed: (path: string) => writeFileSync(path, Buffer.alloc(statSync(path).size)),
  missing: (path: string) => rmSync(path),
  'of another time': (path: string, file: string) =>
    cpSync(join(older, known.get('beta-cosine')?.folder ?? '', file), path),
};
/** Elements and ids cannot be had from elsewhere; the 45 records of the collection may be lost with them. */
const indexFile = (file: string, whole: number, ...which: readonly (keyof typeof ways)[]): readonly Piece[] =>
  which.map((way) => ({
    name: `${file} ${way}`,
    destroy: (dir) => ways[way](join(dir, known.get('beta-cosine')?.folder ?? '', file), file),
    command: 'repair',
    whole,
  }));

const pieces: readonly Piece[] = [
  {
    name: 'the header of the database',
    destroy: (dir) => {
      const bytes = readFileSync(join(dir, 'chroma.sqlite3'));
      writeFileSync(join(dir, 'chroma.sqlite3'), bytes.fill(0, 0, 100));
    },
    command: 'export --salvage --to ./saved',
    whole: 201,
  },
  page('sqlite_schema', 'first'),
  page('sqlite_schema', 'last'),
  page('embeddings', 'first'),
  page('embeddings', 'last'),
  page('embedding_metadata', 'first'),
  page('embedding_metadata', 'last', 100),
  page('embeddings_queue', 'first', 100),
  page('collections', 'first'),
  page('collections', 'last', 0),
  page('segments', 'first', 0),
  page('max_seq_id', 'first', 0),
  page('embedding_metadata_array', 'first', 100),
  page('sqlite_autoindex_embeddings_1', 'first'),
  page('embedding_metadata_string_value', 'last'),
  page('embedding_fulltext_search_data', 'first'),
  page('embedding_fulltext_search_content', 'last'),
  // `check` names each file in each of these ways: see check-store.test.ts.
  ...indexFile('header.bin', 201, 'zeroed', 'of another time'),
  ...indexFile('link_lists.bin', 201, 'zeroed', 'of another time'),
  ...indexFile('length.bin', 156, 'truncated', 'missing', 'of another time'),
  ...indexFile('data_level0.bin', 156, 'truncated', 'zeroed', 'missing', 'of another time'),
  ...indexFile('index_metadata.pickle', 156, 'truncated', 'missing', 'of another time'),
];

interface Saved {
  readonly dir: string;
  readonly losses: readonly RecordLoss[];
}

/** As docs/recovery.md says: what `check` names, without asking whether a loss is acceptable; else what can still be read. */
async function save(dir: string, command: Piece['command']): Promise<Saved> {
  const agent = createAgent({ store: dir, remote: '' });
  const to = fresh();
  try {
    if (command === 'repair') {
      const { isSound, steps } = await agent.repair();
      if (isSound) {
        expect(await agent.check()).toMatchObject({ isSound: true, findings: [] });
        await agent.exportTo(to);
        const told = steps.flatMap(({ losses }) => losses);
        return {
          dir: to,
          losses: told.map((loss) => ({ ...loss, database: null, message: '', missing: [loss.missing] })),
        };
      }
    }
    const { losses } = await agent.exportTo(to, { salvage: true });
    const named: RecordLoss[] = [];
    for await (const { text } of readLines(losses?.file ?? '')) named.push(JSON.parse(text) as RecordLoss);
    return { dir: to, losses: named };
  } finally {
    await agent.close();
  }
}

/** Whether a loss names each part in which a record differs. */
function isNamed(found: Comparable | undefined, expected: Comparable, isCosine: boolean, missing: readonly string[]): boolean {
  if (missing.includes('record') || missing.includes('collection')) return true;
  // No server takes a record without an embedding.
  if (found === undefined) return missing.includes('embedding');
  return (['document', 'uri', 'metadata', 'embedding'] as const)
    .filter((part) => differenceOf({ ...expected, [part]: found[part] }, expected, isCosine) !== undefined)
    .every((part) => missing.includes(part) || (part === 'embedding' && ['length', 'newer'].some((each) => missing.includes(each)))); // prettier-ignore
} // prettier-ignore

/** The records that came back whole, and those that differ without a word. */
function judge(
  collections: ReadonlyMap<string, ReadonlyMap<string, Comparable>>,
  losses: readonly RecordLoss[],
): { readonly whole: number; readonly silent: readonly string[] } {
  let whole = 0;
  const silent: string[] = [];
  for (const [name, { records, isCosine }] of known) {
    const saved = collections.get(name) ?? new Map<string, Comparable>();
    const mine = losses.filter(({ collection }) => collection === null || collection === name);
    const ofAny = mine.filter(({ id }) => id === null).flatMap(({ missing }) => missing);
    const byId = new Map(mine.map((loss) => [loss.id, loss.missing]));
    for (const [id, expected] of records) {
      const found = saved.get(id);
      const missing = [...(byId.get(id) ?? []), ...ofAny];
      if (differenceOf(found, expected, isCosine) === undefined) whole += 1;
      else if (!isNamed(found, expected, isCosine, missing)) silent.push(`${name} ${id}`);
    }
    for (const id of saved.keys())
      if (!records.has(id) && !byId.has(id)) silent.push(`${name} ${id}: a ghost`);
  }
  return { whole, silent };
}

/** The records of an export, by collection. */
async function filesIn(dir: string): Promise<ReadonlyMap<string, ReadonlyMap<string, Comparable>>> {
  const files = new Map<string, ReadonlyMap<string, Comparable>>();
  for (const name of known.keys()) {
    const path = join(dir, `${name}.jsonl`);
    const found = [];
    if (existsSync(path)) for await (const { text } of readLines(path)) found.push(parseRecordLine(text));
    files.set(name, comparable(found));
  }
  return files;
}

/** Destroys, asks what is wrong, and does what the answer says. */
async function saveWithout(piece: Piece): Promise<Saved> {
  const dir = fresh();
  cpSync(sound, dir, { recursive: true });
  piece.destroy(dir);
  const agent = createAgent({ store: dir, remote: '' });
  const { damage, findings } = await agent.check();
  await agent.close();
  const commands = [...damage, ...findings].map(({ command }) => command);
  expect(commands).toContain(`sync-agent ${piece.command}`);
  return save(dir, piece.command);
}

describe('a store of which one piece is destroyed', () => {
  test.each(pieces)('$name: check names it, the rest is saved, and no loss is silent', async (piece) => {
    const saved = await saveWithout(piece);
    const { whole, silent } = judge(await filesIn(saved.dir), saved.losses);
    expect(silent).toEqual([]);
    expect(whole).toBeGreaterThanOrEqual(piece.whole);
  });

  test.skipIf(chromaAvailable() !== undefined)(
    'is served again: what was saved goes into a real server, which has each record that no loss names',
    async () => {
      const server = await startChromaServer({ path: fresh() });
      const agent = createAgent({ store: fresh(), remote: '' });
      try {
        for (const name of ['the last page of sqlite_schema', 'data_level0.bin truncated']) {
          const piece = pieces.find((each) => each.name === name);
          if (piece === undefined) throw new Error(`no piece "${name}"`);
          const { dir, losses } = await saveWithout(piece);
          const database = `piece-${made++}`;
          await agent.importFrom([dir], { chroma: server.url, database, keepGoing: true });
          const served = new Map<string, ReadonlyMap<string, Comparable>>();
          for (const each of known.keys()) served.set(each, await serverRecords(server.url, each, database));
          const { whole, silent } = judge(served, losses);
          expect(silent).toEqual([]);
          expect(whole).toBeGreaterThanOrEqual(piece.whole);
        }
      } finally {
        await agent.close();
        await server.stop();
      }
    },
  );
});
