import { closeSync, constants, copyFileSync, openSync, writeSync } from 'node:fs';
import { openPages, pageType } from './page-file.ts';
import type { PageFile } from './page-file.ts';
import { rowsOf } from './page-rows.ts';
import type { PageRow } from './page-rows.ts';
import { childrenOf } from './page-trees.ts';

const headerBytes = 100;

/** What was made anew, for people. */
export type MendedPart = 'header' | 'list of tables';

/**
 * Copies a database to `copy` and mends there what SQLite needs to open it: the header of the file, of which a reader needs little more than the
 * size of a page, and the top of the list of tables, from the pages of the list that are left. Undefined if nothing of a list is left.
 */
export function mendFirstPage(path: string, copy: string): readonly MendedPart[] | undefined {
  const file = openPages(path);
  if (file === undefined) return undefined;
  try {
    const first = file.page(1);
    if (first === undefined) return undefined;
    const { hasHeader, usable } = file;
    if (!hasHeader) newHeader(file).copy(first);
    const isWhole = isListWhole(file, first);
    const leaves = isWhole ? [] : findSchemaLeaves(file);
    if (!isWhole) {
      if (leaves.length === 0 || !writeTop(first.subarray(0, usable), leaves)) return undefined;
    }
    copyFileSync(path, copy, constants.COPYFILE_FICLONE);
    const fd = openSync(copy, 'r+');
    writeSync(fd, first, 0, first.length, 0);
    closeSync(fd);
    return [...(hasHeader ? [] : (['header'] as const)), ...(isWhole ? [] : (['list of tables'] as const))];
  } finally {
    file.close();
  }
}

function newHeader({ pageSize, pageCount }: PageFile): Buffer {
  const header = Buffer.alloc(headerBytes);
  header.write('SQLite format 3\0', 'latin1');
  header.writeUInt16BE(pageSize === 65536 ? 1 : pageSize, 16);
  // Rollback journal; no reserved space; the fractions that the format fixes.
  header.set([1, 1, 0, 64, 32, 32], 18);
  header.writeUInt32BE(1, 24);
  header.writeUInt32BE(pageCount, 28);
  header.writeUInt32BE(1, 40);
  header.writeUInt32BE(4, 44);
  header.writeUInt32BE(1, 56);
  header.writeUInt32BE(1, 92);
  header.writeUInt32BE(3_046_000, 96);
  return header;
}

/** A page of the list of tables. */
interface SchemaLeaf {
  readonly number: number;
  readonly first: bigint;
  readonly last: bigint;
  readonly rows: number;
}

function isListWhole(file: PageFile, first: Buffer): boolean {
  if (first[headerBytes] === pageType.tableLeaf) return schemaLeaf(file, 1) !== undefined;
  if (first[headerBytes] !== pageType.tableInterior) return false;
  const children = childrenOf(first, headerBytes);
  return children.every((number) => schemaLeaf(file, number) !== undefined);
}

const kinds: ReadonlySet<unknown> = new Set(['table', 'index', 'trigger', 'view']);

/** Of `sqlite_schema`: type, name, table, root page, SQL. */
const isSchemaRow = ({ values: [type, name, table, root, sql, ...more] }: PageRow): boolean =>
  kinds.has(type) &&
  typeof name === 'string' &&
  typeof table === 'string' &&
  typeof root === 'bigint' &&
  (typeof sql === 'string' || sql === null) &&
  more.length === 0;

function schemaLeaf(file: PageFile, number: number): SchemaLeaf | undefined {
  const rows = rowsOf(file, number);
  const [first, last] = [rows[0]?.rowid, rows.at(-1)?.rowid];
  if (first === undefined || last === undefined || !rows.every(isSchemaRow)) return undefined;
  return { number, first, last, rows: rows.length };
}

/** In their order. Of pages for the same rows, some of them freed, the one with the most. */
function findSchemaLeaves(file: PageFile): readonly SchemaLeaf[] {
  const found: SchemaLeaf[] = [];
  for (let number = 2; number <= file.pageCount; number++) {
    const leaf = schemaLeaf(file, number);
    if (leaf !== undefined) found.push(leaf);
  }
  const kept: SchemaLeaf[] = [];
  for (const leaf of found.toSorted((a, b) => b.rows - a.rows))
    if (kept.every(({ first, last }) => last < leaf.first || leaf.last < first)) kept.push(leaf);
  return kept.toSorted((a, b) => (a.first < b.first ? -1 : 1));
}

/** Makes the first page an interior one that leads to these leaves: the last by its own pointer, the others by a cell each. False if they do not fit. */
function writeTop(page: Buffer, leaves: readonly SchemaLeaf[]): boolean {
  const pointers = headerBytes + 12;
  const cells = leaves.slice(0, -1).map(({ number, last }) => ({ number, key: varintOf(last) }));
  const needed = cells.reduce((sum, { key }) => sum + 2 + 4 + key.length, 0);
  if (pointers + needed > page.length) return false;
  page.fill(0, headerBytes);
  page[headerBytes] = pageType.tableInterior;
  let end = page.length;
  cells.forEach(({ number, key }, i) => {
    end -= 4 + key.length;
    page.writeUInt32BE(number, end);
    key.copy(page, end + 4);
    page.writeUInt16BE(end, pointers + 2 * i);
  });
  page.writeUInt16BE(cells.length, headerBytes + 3);
  page.writeUInt16BE(end % 65536, headerBytes + 5);
  page.writeUInt32BE(leaves.at(-1)?.number ?? 0, headerBytes + 8);
  return true;
}

function varintOf(value: bigint): Buffer {
  const bytes = [Number(value & 0x7fn)];
  for (let rest = value >> 7n; rest > 0n; rest >>= 7n) bytes.unshift(Number(rest & 0x7fn) | 0x80);
  return Buffer.from(bytes);
}
