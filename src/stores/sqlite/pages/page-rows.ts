import { pageType, startOf } from './page-file.ts';
import type { PageFile } from './page-file.ts';

export type CellValue = null | bigint | number | string | Buffer;

export interface PageRow {
  readonly rowid: bigint;
  /** In the order of the table's columns. A column that is the rowid is null; columns that were added later may be missing. */
  readonly values: readonly CellValue[];
}

/**
 * The rows of a leaf page of a table (sqlite.org/fileformat2.html, 1.6 and 2). A row that cannot be decoded is left out. Empty for any other page.
 */
export function rowsOf(file: PageFile, number: number): readonly PageRow[] {
  const page = file.page(number);
  const start = startOf(number);
  if (page?.[start] !== pageType.tableLeaf) return [];
  // Whatever a damaged page says, it has no more pointers than fit into it.
  const cells = Math.min(page.readUInt16BE(start + 3), Math.floor((page.length - start - 8) / 2));
  const rows: PageRow[] = [];
  for (let i = 0; i < cells; i++) {
    try {
      rows.push(readCell(file, page, page.readUInt16BE(start + 8 + 2 * i)));
    } catch (error) {
      // What lies outside of a page, or of the file.
      if (!(error instanceof RangeError)) throw error;
    }
  }
  return rows;
}

function readCell(file: PageFile, page: Buffer, at: number): PageRow {
  const [length, afterLength] = varint(page, at);
  const [rowid, start] = varint(page, afterLength);
  const payload = readPayload(file, page, start, Number(length));
  const [headerLength, first] = varint(payload, 0);
  const values: CellValue[] = [];
  let valueAt = Number(headerLength);
  for (let typeAt = first; typeAt < headerLength;) {
    const [type, next] = varint(payload, typeAt);
    const [value, end] = readValue(payload, valueAt, Number(type));
    values.push(value);
    [typeAt, valueAt] = [next, end];
  }
  if (valueAt !== payload.length || values.length === 0) throw new RangeError('no record');
  return { rowid: BigInt.asIntN(64, rowid), values };
}

/** The bytes of a row; what does not fit into its page is in a chain of others. */
function readPayload(file: PageFile, page: Buffer, start: number, length: number): Buffer {
  const { usable, pageCount } = file;
  if (length > pageCount * usable) throw new RangeError('longer than the file');
  const most = usable - 35;
  const least = Math.floor(((usable - 12) * 32) / 255) - 23;
  const fitting = least + ((length - least) % (usable - 4));
  const local = length <= most ? length : fitting <= most ? fitting : least;
  const parts = [slice(page, start, local)];
  let next = local < length ? page.readUInt32BE(start + local) : 0;
  for (let left = length - local; left > 0;) {
    const overflow = file.page(next);
    if (overflow === undefined) throw new RangeError('no such page');
    const part = slice(overflow, 4, Math.min(left, usable - 4));
    parts.push(part);
    left -= part.length;
    next = overflow.readUInt32BE(0);
  }
  return Buffer.concat(parts);
}

/** By the serial type of the record format (2.1). */
function readValue(bytes: Buffer, at: number, type: number): [value: CellValue, end: number] {
  if (type === 0) return [null, at];
  if (type === 8 || type === 9) return [BigInt(type - 8), at];
  if (type === 7) return [bytes.readDoubleBE(at), at + 8];
  if (type === 10 || type === 11) throw new RangeError('a reserved type');
  if (type < 7) {
    const length = type === 5 ? 6 : type === 6 ? 8 : type;
    const value = length === 8 ? bytes.readBigInt64BE(at) : BigInt(bytes.readIntBE(at, length));
    return [value, at + length];
  }
  const part = slice(bytes, at, (type - (type % 2 === 0 ? 12 : 13)) / 2);
  return [type % 2 === 0 ? part : part.toString('utf8'), at + part.length];
}

/** Of up to nine bytes, seven bits each, and eight in the ninth. */
function varint(bytes: Buffer, at: number): [value: bigint, end: number] {
  let value = 0n;
  for (let i = 0; i < 9; i++) {
    const byte = bytes.readUInt8(at + i);
    if (i === 8) return [(value << 8n) | BigInt(byte), at + 9];
    value = (value << 7n) | BigInt(byte & 0x7f);
    if (byte < 0x80) return [value, at + i + 1];
  }
  return [value, at + 9];
}

function slice(bytes: Buffer, at: number, length: number): Buffer {
  if (length < 0 || at + length > bytes.length) throw new RangeError('outside');
  return bytes.subarray(at, at + length);
}
