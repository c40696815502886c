import { SyncAgentError } from '../platform/errors.ts';
import type { ByteRange } from './remote.ts';

const maximumKeyBytes = 1024;

/** Throws REFUSED unless `key` is what `Remote` calls a key. */
export function assertKey(key: string): void {
  const complaint = complaintAbout(key);
  if (complaint !== undefined)
    throw new SyncAgentError('REFUSED', `Cannot use the key ${JSON.stringify(key)}: ${complaint}`);
}

/** Ascending order of the UTF-8 bytes, which is the order of S3 listings and not that of JavaScript strings. */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index += 1) {
    const left = a.charCodeAt(index);
    const right = b.charCodeAt(index);
    if (left !== right) return rank(left) - rank(right);
  }
  return a.length - b.length;
}

/** Throws a RangeError for a range that no remote can serve. */
export function assertRange(range: ByteRange | undefined): void {
  if (range === undefined) return;
  const { start, end } = range;
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || end <= start) {
    throw new RangeError(`[${start}, ${end}) is not a range of bytes`);
  }
}

function complaintAbout(key: string): string | undefined {
  if (key.includes('\0')) return 'it has a NUL';
  if (/\p{Surrogate}/u.test(key)) return 'it is not well-formed Unicode';
  if (Buffer.byteLength(key, 'utf8') > maximumKeyBytes) return `it is longer than ${maximumKeyBytes} bytes`;
  for (const segment of key.split('/')) {
    if (segment === '') return 'it has an empty segment';
    if (segment === '.' || segment === '..') return `it has a segment "${segment}"`;
  }
  return undefined;
}

/** Surrogates (code points from U+10000) come after U+E000 to U+FFFF in UTF-8. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}
