import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, describe, expect, test } from 'vitest';
import { readRecords } from '../../src/stores/chroma/records/read-records.ts';
import { readStoredCollections } from '../../src/stores/chroma/records/stored-collection.ts';
import { chromaAvailable, startChromaServer, startMigratedServer } from '../support/chroma-server.ts';
import { unpackFixture } from '../support/fixtures.ts';
import { comparable, differencesOf, serverRecords } from '../support/server-records.ts';
import type { Comparable } from '../support/server-records.ts';

const root = mkdtempSync(join(tmpdir(), 'records-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

interface FoundCollection {
  readonly space: string;
  readonly records: ReadonlyMap<string, Comparable>;
}

/** Everything that the reader finds in a directory that nobody has open. */
function readAll(dir: string): ReadonlyMap<string, FoundCollection> {
  const db = new Database(join(dir, 'chroma.sqlite3'), { readonly: true });
  try {
    const collections = readStoredCollections(db);
    return new Map(
      collections.map((each) => [
        each.name,
        { space: each.space, records: comparable(readRecords(db, dir, each)) },
      ]),
    );
  } finally {
    db.close();
  }
}

describe.skipIf(chromaAvailable() !== undefined)('the reader of records, beside a real server', () => {
  test.each(['chroma-0.4.24', 'chroma-0.5.5', 'chroma-0.5.23', 'chroma-0.6.3', 'chroma-1-b'] as const)(
    'finds in %s what the server answers: every id, vector, document and metadata value',
    async (fixture) => {
      const dir = unpackFixture(fixture, join(root, fixture));
      const found = readAll(dir);
      cpSync(dir, `${dir}-served`, { recursive: true });
      const server = await startMigratedServer({ path: `${dir}-served` });
      try {
        for (const [name, { records, space }] of found)
          expect(differencesOf(records, await serverRecords(server.url, name), space === 'cosine')).toEqual(
            [],
          );
      } finally {
        await server.stop();
      }
      expect(found.size).toBeGreaterThanOrEqual(3);
    },
  );

  test('reads what the newest server writes: arrays, types, updates and deletes, persisted and queued', async () => {
    const dir = join(root, 'newest');
    const server = await startChromaServer({ path: dir });
    const expected = new Map<string, ReadonlyMap<string, Comparable>>();
    try {
      for (const space of ['l2', 'cosine', 'ip'] as const) {
        const collection = await server.client.createCollection({
          name: `types-${space}`,
          embeddingFunction: null,
          configuration: { hnsw: { space, sync_threshold: 20 } },
        });
        const ids = Array.from({ length: 50 }, (_, i) => `id ${i}`);
        await collection.add({
          ids,
          embeddings: ids.map((_, i) => [i + 0.1, -i, 1 / (i + 1), 3]),
          documents: ids.map((id) => `${id} ünï "quoted"\n`),
          metadatas: ids.map((_, i) => ({
            i,
            f: i / 4,
            b: i % 2 === 0,
            s: `s${i}`,
            ss: ['b', 'a'],
            si: [i, 2],
            sb: [true, false],
          })),
        });
        await collection.update({ ids: ['id 3'], metadatas: [{ s: null, i: 33, new: 1.5, si: [9] }] });
        await collection.upsert({ ids: ['id 4', 'new'], embeddings: [[9, 9, 9, 9], [1, 2, 3, 4]] }); // prettier-ignore
        await collection.delete({ ids: ['id 5', 'id 40'] });
        expected.set(collection.name, await serverRecords(server.url, collection.name));
      }
    } finally {
      await server.stop();
    }
    const found = readAll(dir);
    for (const [name, records] of expected) {
      const { space, records: mine = new Map<string, Comparable>() } = found.get(name) ?? {};
      expect(space).toBe(name.slice('types-'.length));
      expect(differencesOf(mine, records, space === 'cosine')).toEqual([]);
    }
    const l2 = found.get('types-l2')?.records;
    expect(l2?.size).toBe(49);
    expect(l2?.get('id 3')?.metadata).toMatchObject({ i: 33, new: 1.5, si: [9], ss: ['b', 'a'] });
  });
});
