import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, expect, test } from 'vitest';
import { changedParts, signatureOf } from '../../../src/engine/records/record-signature.ts';
import { createAgent } from '../../../src/in-process/create-agent.ts';
import { unpackFixture } from '../../support/fixtures.ts';

const root = mkdtempSync(join(tmpdir(), 'diff-records-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const record = {
  id: 'a',
  embedding: Float32Array.of(1, 2, 2),
  document: 'd',
  uri: null,
  metadata: '{"a":1}',
};

test('each part that changed is named', () => {
  const parts = (change: object, isCosine = false): readonly string[] =>
    changedParts(signatureOf(record, isCosine), signatureOf({ ...record, ...change }, isCosine));
  expect(parts({})).toEqual([]);
  expect(parts({ metadata: '{ "a": 1 }' })).toEqual([]);
  expect(parts({ metadata: '{"a":1.0}' })).toEqual(['metadata']);
  expect(parts({ document: null, uri: 'x' })).toEqual(['document', 'uri']);
  expect(parts({ document: '' }).concat(parts({ document: 'e' }))).toEqual(['document', 'document']);
  expect(parts({ embedding: Float32Array.of(1, 2, 2.0000002) })).toEqual(['embedding']);
});

test('of a cosine vector, what normalising changes is no change, and all else is: length, direction, dimension', () => {
  const changed = (...values: number[]): boolean =>
    changedParts(
      signatureOf(record, true),
      signatureOf({ ...record, embedding: Float32Array.from(values) }, true),
    ).length > 0;
  expect(changed(1, 2, 2.0000002)).toBe(false);
  expect(changed(1, 2, 2.001)).toBe(true);
  expect(changed(2, 4, 4)).toBe(true);
  expect(changed(2, 1, 2)).toBe(true);
  expect(changed(-1, -2, -2)).toBe(true);
  expect(changed(1, 2, 2, 0)).toBe(true);
});

test('records of a snapshot and of the store that was written to since are compared, by id', async () => {
  const store = unpackFixture('chroma-1-a', join(root, 'a'));
  const agent = createAgent({ store, remote: `file://${join(root, 'remote')}` });
  await agent.backup();
  expect(await agent.diffRecords({ snapshot: 'latest' }, {})).toMatchObject({ collections: [] });

  rmSync(store, { recursive: true });
  cpSync(unpackFixture('chroma-1-b', join(root, 'b')), store, { recursive: true });
  const { collections } = await agent.diffRecords({ snapshot: 'latest' }, {});
  const changes = new Map(collections.map((each) => [each.name, each]));
  expect(changes.get('delta-unpersisted')).toBeUndefined();
  // 33 records became 59.
  const { added = [], removed = [] } = changes.get('gamma-ip') ?? {};
  expect([added.length, removed.length]).toEqual([27, 1]);
  const [before, after] = [idsOf(join(root, 'b'), 'alpha-l2'), changes.get('alpha-l2')];
  expect(after?.added.every((id) => before.includes(id))).toBe(true);

  const back = await agent.diffRecords({}, { snapshot: 'latest' }, { collections: ['gamma-ip'] });
  expect(back.collections.map(({ name }) => name)).toEqual(['gamma-ip']);
  expect(back.collections[0]?.removed).toEqual(changes.get('gamma-ip')?.added);
});

function idsOf(dir: string, collection: string): readonly string[] {
  const db = new Database(join(dir, 'chroma.sqlite3'), { readonly: true });
  const ids = db
    .prepare(
      'SELECT e.embedding_id FROM embeddings e JOIN segments s ON s.id = e.segment_id JOIN collections c ON c.id = s.collection WHERE c.name = ?',
    )
    .pluck()
    .all(collection) as string[];
  db.close();
  return ids;
}
