import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { assert, boolean, double, nat, property, record, uint8Array } from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isSyncAgentError } from '../../../src/platform/errors.ts';
import { hashId, newIdHash } from '../../../src/stores/chroma/id-multiset.ts';
import { readIndexMetadata } from '../../../src/stores/chroma/index/index-metadata.ts';
import { checkPersistedIndex } from '../../../src/stores/chroma/index/persisted-index.ts';
import type { IndexFolder } from '../../../src/stores/chroma/index/persisted-index.ts';
import { unpackFixture } from '../../support/fixtures.ts';

const root = mkdtempSync(join(tmpdir(), 'inspect-hostile-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const scratch = join(root, 'scratch.pickle');

/** What reading the bytes as a pickle says: the ids and labels, or the problem. Anything else it may throw fails. */
function read(content: Uint8Array): string {
  writeFileSync(scratch, content);
  const ids: string[] = [];
  return problemOr(() => {
    readIndexMetadata(scratch, 'x.pickle', (bytes, start, end, label) =>
      ids.push(`${bytes.toString('utf8', start, end)}=${label}`),
    );
    return ids.join(' ');
  });
}

function problemOr(use: () => string): string {
  try {
    return use();
  } catch (error) {
    if (!isSyncAgentError(error, 'STORE_CORRUPT')) throw error;
    return `PROBLEM ${error.message}`;
  }
}

const text = (value: string): Buffer =>
  Buffer.concat([Buffer.from([0x8c, Buffer.byteLength(value)]), Buffer.from(value)]);
const pickleOf = (...parts: (Buffer | number[])[]): Buffer => Buffer.concat([Buffer.from([0x80, 4]), ...parts.map((part) => Buffer.from(part)), Buffer.from([0x2e])]); // prettier-ignore
const mapsOf = (idToLabel: (Buffer | number[])[], labelToId: (Buffer | number[])[]): Buffer =>
  pickleOf(
    [0x7d, 0x28],
    text('id_to_label'),
    [0x7d],
    ...idToLabel,
    text('label_to_id'),
    [0x7d],
    ...labelToId,
    text('id_to_seq_id'),
    [0x7d, 0x75],
  );

describe('the index metadata is read as its writers mean it', () => {
  test('one entry without a MARK, and none at all', () => {
    expect(read(mapsOf([text('a'), [0x4b, 7, 0x73]], [[0x4b, 7], text('a'), [0x73]]))).toBe('a=7');
    expect(read(mapsOf([], []))).toBe('');
    expect(read(mapsOf([[0x28, 0x75]], [[0x28, 0x75]]))).toBe('');
  });

  test('an id may look like an attribute and refer to it', () => {
    const memoized = pickleOf([0x7d, 0x28], text('id_to_label'), [0x94, 0x7d, 0x28, 0x68, 0, 0x4b, 7, 0x75], text('label_to_id'), [0x7d, 0x28, 0x4b, 7, 0x68, 0, 0x75], text('id_to_seq_id'), [0x7d, 0x75]); // prettier-ignore
    expect(read(memoized)).toBe('id_to_label=7');
  });

  test.each([
    ['a label twice', mapsOf([[0x28], text('a'), [0x4b, 7], text('b'), [0x4b, 7, 0x75]], []), 'label 7 twice'],
    ['maps that do not mirror each other', mapsOf([[0x28], text('a'), [0x4b, 1], text('b'), [0x4b, 2, 0x75]], [[0x28, 0x4b, 2], text('a'), [0x4b, 1], text('b'), [0x75]]), 'contradicts itself'],
    ['a foreign class', pickleOf(text('os'), text('system'), [0x93]), 'a class that Chroma never writes'],
    ['a call', pickleOf(text('chromadb.segment.impl.vector.local_persistent_hnsw'), text('PersistentData'), [0x93, 0x29, 0x52]), 'opcode 0x52'],
    ['a string of 4 GB', pickleOf([0x58, 0xff, 0xff, 0xff, 0xff]), 'implausibly long'],
    ['a reference to nothing', pickleOf([0x7d, 0x28, 0x68, 9]), 'not an earlier string'],
    ['a memo number far out', pickleOf([0x7d, 0x72, 0xff, 0xff, 0xff, 0xff]), 'out of order'],
    ['a nest of dicts', pickleOf(Array(1000).fill(0x7d)), 'unexpected place'],
    ['a heap of numbers', pickleOf(Array(2000).fill(0x4b)), 'nested too deeply'],
    ['scattered labels', mapsOf([[0x28], ...Array.from({ length: 9000 }, (_, i) => Buffer.concat([text(`${i}`), Buffer.from([0x8a, 5]), le40(i * 70000)])), [0x75]], []), 'scattered'],
    ['a map missing', pickleOf([0x7d]), 'has no "id_to_label"'],
  ])('%s is a problem', (_, content, problem) => {
    expect(read(content)).toContain(problem);
  }); // prettier-ignore
});

describe('damage of any kind ends in a verdict', () => {
  const samples: { dir: string; folder: IndexFolder; dimension: number }[] = [];
  beforeAll(() => {
    for (const fixture of ['chroma-1-b', 'chroma-0.5.5', 'chroma-0.6.3'] as const) {
      const dir = unpackFixture(fixture, join(root, fixture));
      const db = new Database(join(dir, 'chroma.sqlite3'), { readonly: true });
      const sql = "SELECT s.id FROM segments s JOIN collections c ON c.id = s.collection WHERE s.scope = 'VECTOR' AND c.name IN ('alpha-l2', 'cosB')"; // prettier-ignore
      const segmentId = db.prepare(sql).pluck().get() as string;
      db.close();
      samples.push({ dir, folder: { dir, segmentId }, dimension: fixture === 'chroma-1-b' ? 8 : 16 });
    }
  });

  test('bytes that were never a pickle', () => {
    assert(
      property(uint8Array({ maxLength: 300 }), boolean(), (bytes, isStarted) => {
        expect(read(isStarted ? Buffer.concat([Buffer.from([0x80, 4]), bytes]) : bytes)).toMatch(
          /^PROBLEM x\.pickle /,
        );
      }),
      { numRuns: 2000, verbose: true },
    );
  });

  test('a pickle cut anywhere is a problem', () => {
    assert(
      property(nat(2), double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), (which, where) => {
        const { folder } = samples[which] as (typeof samples)[0];
        const content = readFileSync(join(folder.dir, folder.segmentId, 'index_metadata.pickle'));
        expect(read(content.subarray(0, Math.floor(where * content.length)))).toMatch(/^PROBLEM /);
      }),
      { numRuns: 300, verbose: true },
    );
  });

  for (const file of ['header.bin', 'index_metadata.pickle', 'link_lists.bin', 'data_level0.bin']) {
    test(`${file} with some bytes changed, or cut`, () => {
      const change = record({
        which: nat(2),
        at: double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
        bytes: uint8Array({ minLength: 1, maxLength: 12 }),
        cut: boolean(),
      });
      let noticed = 0;
      assert(
        property(change, ({ which, at, bytes, cut }) => {
          const { folder, dimension } = samples[which] as (typeof samples)[0];
          const path = join(folder.dir, folder.segmentId, file);
          const good = readFileSync(path);
          const start = Math.floor(at * good.length);
          try {
            if (cut) truncateSync(path, start);
            else {
              const bad = Buffer.from(good);
              bad.set(bytes.subarray(0, good.length - start), start);
              writeFileSync(path, bad);
            }
            const verdict = problemOr(() => {
              checkPersistedIndex(folder, {
                dimension,
                known: undefined,
                hasLengths: true,
                visitId: () => undefined,
              });
              return 'sound';
            });
            if (verdict !== 'sound') noticed += 1;
          } finally {
            writeFileSync(path, good);
          }
        }),
        { numRuns: 300, verbose: true },
      );
      expect(noticed).toBeGreaterThan(50);
    });
  }
});

test('ids are hashed by MurmurHash3_x86_128', () => {
  const hex = (value: string): string => {
    const out = newIdHash();
    const bytes = Buffer.from(`.${value}`);
    hashId(bytes, 1, bytes.length, out, 0);
    return [...out].map((lane) => lane.toString(16).padStart(8, '0')).join('');
  };
  expect(hex('')).toBe('0'.repeat(32));
  expect(hex('The quick brown fox jumps over the lazy dog')).toBe('2f1583c3ecee2c675d7bf66ce5e91d2c');
  expect(hex("I will not buy this tobacconist's, it is scratched.")).toBe('9b5b7ba2ef3f7866889adeaf00f3f98e');
});

function le40(value: number): Buffer {
  const bytes = Buffer.alloc(5);
  bytes.writeUIntLE(value, 0, 5);
  return bytes;
}
