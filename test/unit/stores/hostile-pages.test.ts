import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { mendFirstPage } from '../../../src/stores/sqlite/pages/mended-first-page.ts';
import { openPages } from '../../../src/stores/sqlite/pages/page-file.ts';
import type { PageFile } from '../../../src/stores/sqlite/pages/page-file.ts';
import { rowsOf } from '../../../src/stores/sqlite/pages/page-rows.ts';
import type { PageRow } from '../../../src/stores/sqlite/pages/page-rows.ts';
import { addFreePages, addPagesOfTrees } from '../../../src/stores/sqlite/pages/page-trees.ts';
import { seeded } from '../../support/race.ts';
import { fastTmp } from '../../support/host.ts';

const root = mkdtempSync(join(fastTmp, 'hostile-pages-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const pageSize = 512;
const [interior, leaf] = [5, 13];
let made = 0;

/** A database of these pages, numbered from 2, behind a first one with a header. */
function fileOf(pages: readonly Buffer[], first: (page: Buffer) => void = () => undefined): string {
  const page = Buffer.alloc(pageSize);
  page.write('SQLite format 3\0', 'latin1');
  page.writeUInt16BE(pageSize, 16);
  first(page);
  const path = join(root, `${(made += 1)}.sqlite3`);
  writeFileSync(path, Buffer.concat([page, ...pages]));
  return path;
}
function open<T>(path: string, work: (file: PageFile) => T): T {
  const file = openPages(path);
  if (file === undefined) throw new Error('no database');
  try {
    return work(file);
  } finally {
    file.close();
  }
}
const page = (write: (page: Buffer) => void): Buffer => {
  const bytes = Buffer.alloc(pageSize);
  write(bytes);
  return bytes;
};

/** A leaf whose cells these are, each at its place from the end. */
function leafOf(cells: readonly (readonly number[])[]): Buffer {
  return page((bytes) => {
    bytes[0] = leaf;
    bytes.writeUInt16BE(cells.length, 3);
    let end = pageSize;
    cells.forEach((cell, i) => {
      end -= cell.length;
      bytes.set(cell, end);
      bytes.writeUInt16BE(end, 8 + 2 * i);
    });
  });
}
/** Payload of 2 bytes, rowid 7: one column, the number 1. */
const good = [2, 7, 2, 9];
const huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
const rows = (cells: readonly (readonly number[])[]): readonly PageRow[] =>
  open(fileOf([leafOf(cells)]), (file) => rowsOf(file, 2));

describe('a row of a hostile page', () => {
  test.each<[string, readonly number[]]>([
    ['says it is longer than any file', [...huge, 7, 2, 9]],
    ['says its header is longer than it', [2, 7, ...huge]],
    ['has a value of 2^60 bytes', [11, 7, 10, ...huge, 0]],
    ['has a value that ends behind it', [3, 7, 2, 4, 0]],
    ['has a reserved type', [2, 7, 2, 10]],
    ['ends before its header says', [3, 7, 2, 9, 0]],
    ['has no columns', [1, 7, 1]],
    ['is empty', [0, 7]],
  ])('that %s is left out, and its neighbour is read', (_, cell) => {
    expect(rows([cell, good])).toEqual([{ rowid: 7n, values: [1n] }]);
  });

  test('that lies outside of its page is left out', () => {
    const outside = leafOf([good, good, good]);
    outside.writeUInt16BE(0xffff, 8);
    outside.writeUInt16BE(pageSize - 1, 10);
    expect(open(fileOf([outside]), (file) => rowsOf(file, 2))).toHaveLength(1);
  });

  test('of a page that says it has 65,535 of them ends with the page', () => {
    const many = leafOf([good]);
    many.writeUInt16BE(0xffff, 3);
    let reads = 0;
    const read = many.readUInt16BE.bind(many);
    many.readUInt16BE = (at) => ((reads += 1), read(at));
    const file: PageFile = { pageSize, usable: pageSize, pageCount: 1, hasHeader: true, page: () => many, close: () => undefined }; // prettier-ignore
    expect(rowsOf(file, 2)).toContainEqual({ rowid: 7n, values: [1n] });
    expect(reads).toBeLessThan(pageSize / 2);
  });

  test('that goes on in pages that lead to each other, or to none, ends', () => {
    // 1,200 bytes, of which 9 lie here, and the rest in pages 3, 4, 3, ….
    const begin = (next: number): number[] => [
      0x89,
      0x30,
      7,
      2,
      9,
      ...Array<number>(200).fill(0),
      0,
      0,
      0,
      next,
    ];
    const leading = (next: number) => page((bytes) => bytes.writeUInt32BE(next));
    for (const next of [3, 4, 99, 0]) {
      const path = fileOf([leafOf([begin(next).slice(0, 300), good]), leading(4), leading(3)]);
      expect(open(path, (file) => rowsOf(file, 2))).toContainEqual({ rowid: 7n, values: [1n] });
    }
  });

  test('that says it is longer than the file is not looked for in pages that lead to each other', () => {
    const reads: number[] = [];
    const cell = [0xff, 0xff, 0x7f, 7, 2, 9, ...Array<number>(125).fill(0), 0, 0, 0, 3];
    const path = fileOf([leafOf([cell]), page((bytes) => bytes.writeUInt32BE(3))]);
    open(path, (file) => {
      const counting = { ...file, page: (number: number) => (reads.push(number), file.page(number)) };
      expect(rowsOf(counting, 2)).toEqual([]);
    });
    expect(reads).toEqual([2]);
  });

  test('whose rest is in no page is left out, also if what is here looks whole', () => {
    const cell = [0x89, 0x30, 7, 3, 0x82, 0x76, ...Array<number>(181).fill(0), 0, 0, 0, 99];
    const empty = page(() => undefined);
    const path = fileOf([leafOf([cell, good]), empty, empty]);
    expect(open(path, (file) => rowsOf(file, 2))).toEqual([{ rowid: 7n, values: [1n] }]);
  });
});

test('pages that lead to themselves, to each other and out of the file are each seen once', () => {
  const leading = (...to: readonly number[]) =>
    page((bytes) => {
      bytes[0] = interior;
      bytes.writeUInt16BE(0xffff, 3);
      bytes.writeUInt32BE(to[0] ?? 0, 8);
      to.slice(1).forEach((number, i) => {
        bytes.writeUInt32BE(number, 400 + 4 * i);
        bytes.writeUInt16BE(400 + 4 * i, 12 + 2 * i);
      });
      // A cell outside of the page.
      bytes.writeUInt16BE(pageSize - 2, 12 + 2 * to.length);
    });
  const path = fileOf([leading(2, 3, 4), leading(2, 0xffffffff), leading(3, 4, 0)]);
  const seen = new Set<number>();
  open(path, (file) => addPagesOfTrees(file, [2, 77, 0, 2], seen));
  expect([...seen].toSorted((a, b) => a - b)).toEqual([2, 3, 4]);
});

test('a list of free pages that leads back to itself, and says it has 2^32 of them, ends', () => {
  const trunk = (next: number) =>
    page((bytes) => {
      bytes.writeUInt32BE(next);
      bytes.writeUInt32BE(0xffffffff, 4);
      bytes.writeUInt32BE(4, 8);
    });
  const path = fileOf([trunk(3), trunk(2), page(() => undefined)], (first) => first.writeUInt32BE(2, 32));
  const seen = new Set<number>();
  open(path, (file) => addFreePages(file, seen));
  expect([2, 3, 4].every((number) => seen.has(number))).toBe(true);
  expect(seen.size).toBeLessThan(6);
});

/** Of `sqlite_schema`, with a rowid of two bytes. */
const schemaLeaf = (rowid: number): Buffer =>
  leafOf([[14, 0x80 | (rowid >> 7), rowid & 0x7f, 6, 23, 15, 15, 1, 0, ...Buffer.from('tablett'), 5]]);

test('a list of tables in more pages than one can lead to is not mended, and nothing is written', () => {
  const copy = join(root, 'copy.sqlite3');
  const path = (leaves: number) => fileOf(Array.from({ length: leaves }, (_, i) => schemaLeaf(1000 + i)));
  expect(mendFirstPage(path(51), copy)).toEqual(['list of tables']);
  expect(open(copy, (file) => file.page(1)?.readUInt16BE(103))).toBe(50);
  rmSync(copy);
  expect(mendFirstPage(path(52), copy)).toBeUndefined();
  expect(mendFirstPage(path(300), copy)).toBeUndefined();
  expect(() => rmSync(copy)).toThrow('ENOENT');
});

test('files of chance are read to their end', () => {
  const random = seeded(1);
  for (let i = 0; i < 20; i += 1) {
    const pages = Array.from({ length: 8 }, () =>
      page((bytes) => {
        for (let at = 0; at < pageSize; at += 1) bytes[at] = Math.floor(random() * 256);
        bytes[0] = random() < 0.5 ? interior : leaf;
        for (let at = 8; at < 64; at += 2) bytes.writeUInt16BE(Math.floor(random() * pageSize), at);
      }),
    );
    const path = fileOf(pages, (first) => first.writeUInt32BE(Math.floor(random() * 10), 32));
    open(path, (file) => {
      const seen = new Set<number>();
      addPagesOfTrees(file, [2, 3, 4, 5], seen);
      expect([...seen].every((number) => number >= 1 && number <= 9)).toBe(true);
      addFreePages(file, seen);
      for (const number of seen) expect(Array.isArray(rowsOf(file, number))).toBe(true);
    });
  }
});
