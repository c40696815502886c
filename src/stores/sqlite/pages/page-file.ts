import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

const magic = 'SQLite format 3\0';
/** Sizes that a page may have, the usual one first. */
const pageSizes = [4096, 1024, 2048, 8192, 16384, 32768, 65536, 512];

/** What the first byte of a page says (sqlite.org/fileformat2.html, 1.6). */
export const pageType = { indexInterior: 2, tableInterior: 5, indexLeaf: 10, tableLeaf: 13 } as const;
const pageTypes: ReadonlySet<number> = new Set(Object.values(pageType));

/** The pages of a SQLite database, read past SQLite. For databases that nobody writes. */
export interface PageFile {
  readonly pageSize: number;
  readonly pageCount: number;
  /** Bytes of a page that hold content. */
  readonly usable: number;
  /** Whether the header of the file is there. Without it the sizes are found by how pages begin. */
  readonly hasHeader: boolean;
  /** Page `number`, from 1; undefined if there is none. */
  page(number: number): Buffer | undefined;
  close(): void;
}

/** Where the header of a b-tree page begins: behind the header of the file on the first one. */
export const startOf = (number: number): number => (number === 1 ? 100 : 0);

/** Undefined if the file cannot be a database. */
export function openPages(path: string): PageFile | undefined {
  const fd = openSync(path, 'r');
  const { size } = fstatSync(fd);
  const read = (at: number, length: number): Buffer => {
    const bytes = Buffer.alloc(length);
    return bytes.subarray(0, readSync(fd, bytes, 0, length, at));
  };
  const header = read(0, 100);
  const stored = header.length === 100 ? header.readUInt16BE(16) : 0;
  const said = stored === 1 ? 65536 : stored;
  const hasHeader = header.toString('latin1', 0, 16) === magic && pageSizes.includes(said);
  const looksRight = (pageSize: number): boolean => {
    if (size < pageSize || size % pageSize !== 0) return false;
    const pages = Math.min(200, size / pageSize);
    let known = 0;
    for (let n = 1; n < pages; n++) if (pageTypes.has(read(n * pageSize, 1)[0] ?? 0)) known += 1;
    return pages < 3 || known * 3 >= pages;
  };
  const pageSize = hasHeader ? said : pageSizes.find(looksRight);
  if (pageSize === undefined) {
    closeSync(fd);
    return undefined;
  }
  const pageCount = Math.floor(size / pageSize);
  return {
    pageSize,
    pageCount,
    usable: pageSize - (hasHeader ? (header[20] ?? 0) : 0),
    hasHeader,
    page: (number) =>
      number >= 1 && number <= pageCount ? read((number - 1) * pageSize, pageSize) : undefined,
    close: () => closeSync(fd),
  };
}
