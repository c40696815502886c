import {
  copyFileSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, expect, test } from 'vitest';
import { readLines } from '../../../src/engine/records/jsonl-file.ts';
import { parseRecordLine } from '../../../src/engine/records/record-line.ts';
import { createAgent } from '../../../src/in-process/create-agent.ts';
import type { AgentEvent } from '../../../src/platform/events.ts';
import { readRecords } from '../../../src/stores/chroma/records/read-records.ts';
import { readStoredCollections } from '../../../src/stores/chroma/records/stored-collection.ts';
import { fingerprintOf, unpackFixture } from '../../support/fixtures.ts';
import { comparable } from '../../support/server-records.ts';
import type { Comparable } from '../../support/server-records.ts';

const root = mkdtempSync(join(tmpdir(), 'export-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let made = 0;
const fresh = (): string => join(root, String(made++));

async function exported(path: string): Promise<ReadonlyMap<string, Comparable>> {
  const records = [];
  for await (const { text } of readLines(path)) records.push(parseRecordLine(text));
  return comparable(records);
}

function stored(dir: string): ReadonlyMap<string, ReadonlyMap<string, Comparable>> {
  const db = new Database(join(dir, 'chroma.sqlite3'), { readonly: true });
  const all = readStoredCollections(db).map(
    (each) => [each.name, comparable(readRecords(db, dir, each))] as const,
  );
  db.close();
  return new Map(all);
}

test.each(['chroma-0.4.24', 'chroma-0.6.3', 'chroma-1-b'] as const)(
  'an export of %s has every record, changes no byte of the store, and leaves nothing beside it',
  async (fixture) => {
    const dir = unpackFixture(fixture, join(fresh(), 'store'));
    const before = fingerprintOf(join(dir, '..'));
    const events: AgentEvent[] = [];
    const agent = createAgent({ store: dir, remote: '' }, { emit: (event) => events.push(event) });
    const to = fresh();
    const result = await agent.exportTo(to, { gzip: fixture === 'chroma-0.6.3' });
    expect(fingerprintOf(join(dir, '..'))).toEqual(before);
    const expected = stored(dir);
    expect(result.collections.map(({ name }) => name)).toEqual([...expected.keys()]);
    for (const { name, file, records } of result.collections) {
      expect(await exported(file)).toEqual(expected.get(name));
      expect(records).toBe(expected.get(name)?.size);
    }
    expect(readdirSync(to)).toHaveLength(expected.size + 1);
    expect(events.findLast((event) => event.type === 'progress')).toMatchObject({
      done: result.records,
      total: result.records,
      unit: 'records',
    });
  },
);

test('one collection can be chosen, and one that is not there is named', async () => {
  const agent = createAgent({ store: unpackFixture('chroma-1-b', fresh()), remote: '' });
  const to = fresh();
  const { collections } = await agent.exportTo(to, { collections: ['gamma-ip'] });
  expect(collections.map(({ name }) => name)).toEqual(['gamma-ip']);
  expect(readdirSync(to).toSorted()).toEqual(['collections.json', 'gamma-ip.jsonl']);
  await expect(agent.exportTo(fresh(), { collections: ['gamma'] })).rejects.toMatchObject({
    code: 'NOT_FOUND',
  });
});

test('what an earlier export wrote is replaced only on demand', async () => {
  const agent = createAgent({ store: unpackFixture('chroma-1-b', fresh()), remote: '' });
  const to = fresh();
  await agent.exportTo(to, {});
  const first = readFileSync(join(to, 'alpha-l2.jsonl'), 'utf8');
  writeFileSync(join(to, 'alpha-l2.jsonl'), 'mine');
  await expect(agent.exportTo(to, {})).rejects.toMatchObject({ code: 'REFUSED' });
  expect(readFileSync(join(to, 'alpha-l2.jsonl'), 'utf8')).toBe('mine');
  await agent.exportTo(to, { force: true });
  expect(readFileSync(join(to, 'alpha-l2.jsonl'), 'utf8')).toBe(first);
});

test('a damaged store is refused before anything is written, and the error says how to salvage', async () => {
  const dir = unpackFixture('chroma-1-b', fresh());
  const folder = readdirSync(dir).find((name) => name.startsWith('5c075afb')) ?? '';
  truncateSync(join(dir, folder, 'data_level0.bin'), 100);
  const to = fresh();
  const failed = createAgent({ store: dir, remote: '' }).exportTo(to, {});
  await expect(failed).rejects.toMatchObject({
    code: 'STORE_CORRUPT',
    remedy: expect.stringContaining('--salvage') as string,
  });
  expect(() => readdirSync(to)).toThrow('ENOENT');
});

test('an index of another time than its database is refused, although every file is sound', async () => {
  const [old, dir] = [unpackFixture('chroma-1-a', fresh()), unpackFixture('chroma-1-b', fresh())];
  const folder = readdirSync(dir).find((name) => name.startsWith('5c075afb')) ?? '';
  for (const name of readdirSync(join(old, folder)))
    copyFileSync(join(old, folder, name), join(dir, folder, name));
  const failed = createAgent({ store: dir, remote: '' }).exportTo(fresh(), {});
  await expect(failed).rejects.toMatchObject({ code: 'STORE_CORRUPT' });
});

test('a store of another kind is refused with its kind', async () => {
  const dir = fresh();
  const agent = createAgent({ store: dir, remote: '' });
  await expect(agent.exportTo(fresh(), {})).rejects.toMatchObject({ code: 'NOT_FOUND' });
  unpackFixture('chroma-1-b', dir);
  rmSync(join(dir, 'chroma.sqlite3'));
  for (const name of readdirSync(dir)) rmSync(join(dir, name), { recursive: true });
  writeFileSync(join(dir, 'a.txt'), 'a');
  await expect(agent.exportTo(fresh(), {})).rejects.toThrow('a store of the kind "files"');
});

test('an export over an earlier one that ends half way does not look whole', async () => {
  const dir = unpackFixture('chroma-1-b', join(fresh(), 'store'));
  const to = fresh();
  const stop = new AbortController();
  await createAgent({ store: dir, remote: '' }).exportTo(to);
  expect(readdirSync(to)).toContain('collections.json');
  const agent = createAgent(
    { store: dir, remote: '' },
    { emit: ({ type }) => type === 'progress' && stop.abort(new Error('enough')) },
  );
  await expect(agent.exportTo(to, { force: true, signal: stop.signal })).rejects.toMatchObject({
    code: 'INTERRUPTED',
  });
  expect(readdirSync(to)).not.toContain('collections.json');
});

test('an export of a store in use takes its image again before it calls it damaged', async () => {
  const dir = unpackFixture('chroma-1-b', join(fresh(), 'store'));
  const pickle = readdirSync(dir, { recursive: true, encoding: 'utf8' }).find((each) =>
    each.endsWith('.pickle'),
  );
  const path = join(dir, pickle ?? '');
  const bytes = readFileSync(path);
  truncateSync(path, 100);
  const server = { pid: 1, command: 'chroma run', executable: undefined, mayWrite: true };
  const agent = createAgent(
    { store: dir, remote: '' },
    {
      findStoreUsers: async () => [server],
      // The first image was taken in the middle of a write that is over now.
      emit: (event) => {
        if (event.type === 'phase' && event.phase === 'validate') writeFileSync(path, bytes);
      },
    },
  );
  expect(await agent.exportTo(fresh())).toMatchObject({ records: 201 });
});

test('an export into the store itself is refused, and writes nothing', async () => {
  const dir = unpackFixture('chroma-1-b', join(fresh(), 'store'));
  const before = fingerprintOf(dir);
  const agent = createAgent({ store: dir, remote: '' });
  for (const to of [dir, join(dir, 'export')])
    await expect(agent.exportTo(to)).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining('inside the store') as string,
    });
  expect(fingerprintOf(dir)).toEqual(before);
});
