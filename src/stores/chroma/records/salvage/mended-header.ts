import { closeSync, constants, copyFileSync, fstatSync, openSync, readSync, writeSync } from 'node:fs';

const headerBytes = 100;
const pageSizes = [4096, 1024, 2048, 8192, 16384, 32768, 65536, 512];
/** Of the first byte of a page: interior and leaf pages of indexes and tables (sqlite.org/fileformat2.html, 1.6). */
const pageTypes: ReadonlySet<number> = new Set([2, 5, 10, 13]);

/**
 * Copies a database to `copy` and writes a new header into it: the first 100 bytes say where the rest is, and all that a reader needs of them
 * is the size of a page. Undefined if the file cannot be one.
 */
export function mendHeader(path: string, copy: string): string | undefined {
  copyFileSync(path, copy, constants.COPYFILE_FICLONE);
  const fd = openSync(copy, 'r+');
  try {
    const { size } = fstatSync(fd);
    const pageSize = pageSizes.find((each) => isPageSize(fd, size, each));
    if (pageSize === undefined) return undefined;
    const header = Buffer.alloc(headerBytes);
    header.write('SQLite format 3\0', 'latin1');
    header.writeUInt16BE(pageSize === 65536 ? 1 : pageSize, 16);
    // Rollback journal; no reserved space; the fractions that the format fixes.
    header.set([1, 1, 0, 64, 32, 32], 18);
    header.writeUInt32BE(1, 24);
    header.writeUInt32BE(Math.floor(size / pageSize), 28);
    header.writeUInt32BE(1, 40);
    header.writeUInt32BE(4, 44);
    header.writeUInt32BE(1, 56);
    header.writeUInt32BE(1, 92);
    header.writeUInt32BE(3_046_000, 96);
    writeSync(fd, header, 0, headerBytes, 0);
    return copy;
  } finally {
    closeSync(fd);
  }
}

/** Whether the first page and most others begin as pages do. */
function isPageSize(fd: number, size: number, pageSize: number): boolean {
  if (size < pageSize || size % pageSize !== 0) return false;
  const typeAt = (position: number): number => {
    const byte = Buffer.alloc(1);
    readSync(fd, byte, 0, 1, position);
    return byte[0] as number;
  };
  const first = typeAt(headerBytes);
  if (first !== 5 && first !== 13) return false;
  const pages = Math.min(200, size / pageSize);
  let known = 0;
  for (let page = 1; page < pages; page++) if (pageTypes.has(typeAt(page * pageSize))) known += 1;
  return pages < 3 || known * 3 >= pages;
}
