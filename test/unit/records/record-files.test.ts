import { mkdtempSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import {
  collectionsText,
  fileNames,
  readCollectionsFile,
} from '../../../src/engine/records/collections-file.ts';
import { readLines, writeLines } from '../../../src/engine/records/jsonl-file.ts';
import { comparableMetadata, parseRecordLine, recordLine } from '../../../src/engine/records/record-line.ts';
import type { CollectionDescription } from '../../../src/stores/record-source.ts';

const root = mkdtempSync(join(tmpdir(), 'record-files-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

async function linesOf(path: string): Promise<readonly string[]> {
  const lines: string[] = [];
  for await (const { number, text } of readLines(path)) lines.push(`${number} ${text}`);
  return lines;
}

test('a file that an editor saved with a mark before its first line and with CRLF is read', async () => {
  const path = join(root, 'edited.jsonl');
  writeFileSync(path, '\uFEFF{"id":"a"}\r\n\r\n{"id":"\uFEFFb"}\r\n');
  const records = [];
  for await (const { text } of readLines(path)) records.push(parseRecordLine(text));
  expect(records.map(({ id }) => id)).toEqual(['a', '\uFEFFb']);
});

describe('a record as a line', () => {
  test('comes back with its vector bit by bit, and its metadata letter by letter', () => {
    const record = {
      id: 'ü "1"\u2028',
      embedding: Float32Array.of(0.1, -2, 1e-40),
      document: 'two\nlines\u2029 and more',
      uri: 'file:///x',
      metadata: '{"f":1.0,"big":9007199254740993,"a":[1.0,2.5],"s":"x"}',
    };
    const line = recordLine(record);
    expect(line).not.toContain('\n');
    expect(parseRecordLine(line)).toEqual(record);
  });

  test.each([
    ['{"id":', 'it is no JSON'],
    ['[1]', 'it is no JSON object'],
    ['{"embedding":[1]}', '"id" is no text'],
    ['{"id":"a","embedding":"x"}', '"embedding" is no array of numbers'],
    ['{"id":"a","embedding":[1,"NaN"]}', '"embedding" is no array of numbers'],
    ['{"id":"a","embedding":[1e39]}', 'too large for float32'],
    ['{"id":"a","document":1}', '"document" is no text'],
    ['{"id":"a","metadata":[]}', '"metadata" is no object'],
    ['{"id":"a","metadata":{"k":{"x":1}}}', 'cannot keep under "k"'],
    ['{"id":"a","metadata":{"k":[1,"x"]}}', 'cannot keep under "k"'],
  ])('%s is refused: %s', (line, why) => {
    expect(() => parseRecordLine(line)).toThrow(why);
  });

  test('metadata is equal whatever its order, and an integer is no floating-point number', () => {
    const same = (a: string | null, b: string | null): boolean =>
      comparableMetadata(a) === comparableMetadata(b);
    expect(same('{"a":1,"b":"x"}', '{ "b": "\\u0078", "a": 1 }')).toBe(true);
    expect(same('{"a":1e300,"e":[]}', '{"a":1e+300}')).toBe(true);
    expect(same('{}', null)).toBe(true);
    expect(same('{"a":1}', '{"a":1.0}')).toBe(false);
    expect(same('{"a":9007199254740993}', '{"a":9007199254740992}')).toBe(false);
    expect(same('{"a":[1,2]}', '{"a":[2,1]}')).toBe(false);
  });
});

describe('files of lines', () => {
  test.each(['a.jsonl', 'a.jsonl.gz'])(
    '%s: only a newline ends a line, and lines are numbered',
    async (name) => {
      const path = join(root, name);
      const long = 'x'.repeat(700_000);
      await writeLines(path, ['"a\u2028b\r"', '', long, '"ünï"']);
      expect(await linesOf(path)).toEqual(['1 "a\u2028b\r"', `3 ${long}`, '4 "ünï"']);
    },
  );

  test('the last line needs no newline', async () => {
    writeFileSync(join(root, 'b'), 'one\ntwo');
    expect(await linesOf(join(root, 'b'))).toEqual(['1 one', '2 two']);
  });

  test('a file appears when it is whole, and nothing stays of one that fails', async () => {
    const dir = mkdtempSync(join(root, 'whole-'));
    async function* failing(): AsyncGenerator<string> {
      yield 'x'.repeat(600_000);
      expect(readdirSync(dir)).not.toContain('c.jsonl');
      throw new Error('the store is damaged');
    }
    await expect(writeLines(join(dir, 'c.jsonl'), failing())).rejects.toThrow('the store is damaged');
    expect(readdirSync(dir)).toEqual([]);
  });

  test('a compressed file that was cut says after which line', async () => {
    const path = join(root, 'cut.jsonl.gz');
    await writeLines(
      path,
      Array.from({ length: 5000 }, (_, i) => `${i} ${Math.sin(i)}`),
    );
    truncateSync(path, Math.floor(readFileSync(path).length / 2));
    await expect(linesOf(path)).rejects.toThrow(/after line \d+: it is no whole gzip file/);
  });
});

describe('collections.json', () => {
  const collection = (name: string, database = 'default_database'): CollectionDescription => ({
    id: name,
    name,
    tenant: 'default_tenant',
    database,
    dimension: 3,
    space: 'l2',
    metadata: '{"f":2.0}',
    configuration: '{"hnsw":{"resize_factor":1.0}}',
    schema: null,
  });

  test('comes back letter by letter', async () => {
    const path = join(root, 'collections.json');
    const exported = { ...collection('ä'), file: 'x.jsonl', records: 2 };
    writeFileSync(path, collectionsText('here', [exported]));
    expect(await readCollectionsFile(path)).toEqual([exported]);
    expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ source: 'here' });
  });

  test('a later format is too new, and another file is none', async () => {
    const path = join(root, 'collections.json');
    writeFileSync(path, '{"format":"sync-agent-records/2","collections":[]}');
    await expect(readCollectionsFile(path)).rejects.toMatchObject({ code: 'TOO_NEW' });
    writeFileSync(path, '{}');
    await expect(readCollectionsFile(path)).rejects.toMatchObject({ code: 'USAGE' });
    expect(await readCollectionsFile(join(root, 'none'))).toBeUndefined();
  });

  test('names of files never collide, and stay in the directory', () => {
    const names = fileNames(
      [collection('a'), collection('A'), collection('a', 'other'), collection('../x'), collection('losses')],
      '.jsonl',
    );
    expect([...names.values()]).toEqual([
      'a.jsonl',
      'A-2.jsonl',
      'a-3.jsonl',
      '_._x.jsonl',
      'losses-2.jsonl',
    ]);
  });
});
