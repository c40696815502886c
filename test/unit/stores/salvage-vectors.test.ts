import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, describe, expect, test } from 'vitest';
import { vectorsOf } from '../../../src/stores/chroma/records/collection-vectors.ts';
import { readStoredCollections } from '../../../src/stores/chroma/records/stored-collection.ts';
import type { StoredCollection } from '../../../src/stores/chroma/records/stored-collection.ts';
import { unpackFixture } from '../../support/fixtures.ts';
import type { Fixture } from '../../support/fixtures.ts';

const root = mkdtempSync(join(tmpdir(), 'salvage-vectors-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let made = 0;

interface Case {
  readonly dir: string;
  readonly db: Database.Database;
  readonly collection: StoredCollection;
  /** The folder of the index. */
  readonly folder: string;
  /** What the sound store has. */
  readonly sound: ReadonlyMap<string, Float32Array | null>;
}

function open(fixture: Fixture, name: string): Case {
  const dir = unpackFixture(fixture, join(root, String(made++)));
  const db = new Database(join(dir, 'chroma.sqlite3'), { readonly: true });
  const collection = readStoredCollections(db).find((each) => each.name === name);
  if (collection === undefined) throw new Error(`no collection "${name}"`);
  const vectors = vectorsOf(db, dir, collection, { isSalvage: false });
  const sound = new Map([...vectors.ids()].map((id) => [id, vectors.vectorOf(id).vector]));
  vectors.close();
  return { dir, db, collection, folder: join(dir, collection.vectorSegment?.id ?? ''), sound };
}

/** Salvages, and proves that nothing wrong is taken for right: what has no problem is what the sound store has. */
function salvage({ dir, db, collection, sound }: Case): {
  readonly saved: number;
  readonly lost: number;
  readonly withoutLength: number;
  readonly problems: readonly string[];
} {
  const vectors = vectorsOf(db, dir, collection, { isSalvage: true });
  try {
    let [saved, lost, withoutLength] = [0, 0, 0];
    for (const [id, expected] of sound) {
      const { vector, problem, isWithoutLength } = vectors.vectorOf(id);
      if (isWithoutLength === true) withoutLength += 1;
      else if (vector === null) lost += 1;
      else {
        expect(problem).toBeUndefined();
        // What the queue still has was not normalised.
        const tolerance = collection.space === 'cosine' ? 2 ** -21 : 0;
        const isSame = (value: number, i: number): boolean =>
          Math.abs(value - (expected?.[i] ?? NaN)) <= tolerance * Math.abs(value);
        expect(vector.every(isSame), id).toBe(true);
        saved += 1;
      }
    }
    return { saved, lost, withoutLength, problems: vectors.problems };
  } finally {
    vectors.close();
  }
}

const cases = [
  ['chroma-0.6.3', 'colA'],
  ['chroma-0.6.3', 'cosB'],
  ['chroma-1-b', 'alpha-l2'],
  ['chroma-1-b', 'beta-cosine'],
] as const;

describe.each(cases)('salvaging the vectors of %s, %s', (fixture, name) => {
  test('a sound index yields all, and no problem', () => {
    const subject = open(fixture, name);
    expect(salvage(subject)).toEqual({ saved: subject.sound.size, lost: 0, withoutLength: 0, problems: [] });
  });

  test.each([
    ['gone', (path: string) => rmSync(path)],
    ['half', (path: string) => truncateSync(path, 50)],
    ['zeroed', (path: string) => writeFileSync(path, Buffer.alloc(100))],
  ])('a header that is %s costs nothing', (_, damage) => {
    const subject = open(fixture, name);
    damage(join(subject.folder, 'header.bin'));
    const { problems, ...counts } = salvage(subject);
    expect(counts).toEqual({ saved: subject.sound.size, lost: 0, withoutLength: 0 });
    expect(problems.join()).toContain('header.bin');
    expect(() => vectorsOf(subject.db, subject.dir, subject.collection, { isSalvage: false })).toThrow(
      'header.bin',
    );
  });

  test('elements behind the end of a file that was cut are lost, the others are not', () => {
    const subject = open(fixture, name);
    const path = join(subject.folder, 'data_level0.bin');
    truncateSync(path, 20 * sizePerElement(subject) + 30);
    const { saved, lost, problems } = salvage(subject);
    expect(problems.join()).toContain('data_level0.bin ends after 20 of');
    expect(saved).toBeGreaterThan(0);
    expect(lost).toBeGreaterThan(0);
  });

  test('a block of zeros costs the elements that it touches', () => {
    const subject = open(fixture, name);
    const path = join(subject.folder, 'data_level0.bin');
    const bytes = readFileSync(path);
    bytes.fill(0, 2048, 4096);
    writeFileSync(path, bytes);
    const { saved, lost } = salvage(subject);
    expect(lost).toBeLessThanOrEqual(2048 / sizePerElement(subject) + 2);
    expect(saved + lost).toBe(subject.sound.size);
    expect(lost).toBeGreaterThan(0);
  });

  test('what a file of random bytes holds is not taken for vectors', () => {
    const subject = open(fixture, name);
    const path = join(subject.folder, 'data_level0.bin');
    const bytes = readFileSync(path);
    for (let i = 2048; i < 4096; i++) bytes[i] = (i * 2654435761) >>> 13;
    writeFileSync(path, bytes);
    const { saved, lost } = salvage(subject);
    expect(saved + lost).toBe(subject.sound.size);
    expect(lost).toBeGreaterThan(0);
  });

  test('a pickle that was cut names the ids before the cut', () => {
    const subject = open(fixture, name);
    const path = join(subject.folder, 'index_metadata.pickle');
    truncateSync(path, Math.floor(readFileSync(path).length / 4));
    const { saved, problems } = salvage(subject);
    expect(saved).toBeGreaterThan(0);
    expect(problems.join()).toContain('index_metadata.pickle');
  });

  test('without a pickle only what is queued is left, and the reader says why', () => {
    const subject = open(fixture, name);
    rmSync(join(subject.folder, 'index_metadata.pickle'));
    expect(salvage(subject).problems.join()).toContain('index_metadata.pickle');
    expect(() => vectorsOf(subject.db, subject.dir, subject.collection, { isSalvage: false })).toThrow(
      'index_metadata.pickle is missing',
    );
  });
});

test('cosine vectors keep their direction without length.bin, and are named', () => {
  const subject = open('chroma-1-b', 'beta-cosine');
  rmSync(join(subject.folder, 'length.bin'));
  const { saved, withoutLength, problems } = salvage(subject);
  expect(withoutLength).toBeGreaterThan(30);
  expect(saved + withoutLength).toBe(subject.sound.size);
  expect(problems.join()).toContain('length.bin cannot be read');
});

test('a store whose queue was never purged loses nothing with its index', () => {
  const subject = open('chroma-0.5.5', 'colA');
  rmSync(subject.folder, { recursive: true });
  const { saved, lost } = salvage(subject);
  expect({ saved, lost }).toEqual({ saved: subject.sound.size, lost: 0 });
});

function sizePerElement({ collection }: Case): number {
  return 4 + 8 * collection.maxNeighbors + 4 * (collection.dimension ?? 0) + 8;
}
