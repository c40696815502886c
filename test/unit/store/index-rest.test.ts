import { describe, expect, it } from 'vitest';
import { chromaRests, indexFiles } from '../../../src/store/chroma/index-rest.ts';
import { isSettled } from '../../../src/store/fingerprint.ts';
import type { FileEntry } from '../../../src/store/scan.ts';

const now = Date.UTC(2026, 0, 1);
const fileAt = (path: string, agoMs: number, size = 1): FileEntry => {
  const time = BigInt(now - agoMs) * 1_000_000n;
  return { path, size, mode: 0o600, dev: 1n, ino: 1n, mtimeNs: time, ctimeNs: time };
};
/** An index whose files were written so many milliseconds ago, in the order of `indexFiles`. */
const index = (...agoMs: number[]): FileEntry[] =>
  agoMs.map((ago, place) => fileAt(`segment/${indexFiles[place] ?? ''}`, ago));

describe('chromaRests', () => {
  it.each<[string, FileEntry[], boolean]>([
    ['a complete index, the pickle last', index(90, 80, 70, 60, 50), true],
    ['one written within a timestamp tick', index(90, 80, 70, 60, 10), false],
    ['one whose header is newer than its pickle', index(50, 900, 900, 900, 900), false],
    ['one whose links are newer than its pickle', index(90, 80, 70, 60, 900), false],
    ['a persist given up long ago', index(31_000, 40_000, 40_000, 40_000, 40_000), true],
    ['a first persist that has not come to its pickle', index(90, 80, 70, 60), false],
    ['one with times in the future', index(-9000, -9000, -9000, -9000, -9000), true],
    ['one whose header has a time centuries ahead', index(-1e13, 900, 900, 900, 900), true],
    ['one whose pickle has, while its header is written', index(10, 900, 900, 900, -1e13), false],
    [
      'one whose header is a second ahead, as of a server whose clock is',
      index(-1000, 900, 900, 900, 900),
      false,
    ],
    ['no index at all', [fileAt('chroma.sqlite3', 0)], true],
  ])('judges %s', (_, files, expected) => {
    expect(chromaRests(files, now)).toBe(expected);
  });

  it('takes an index that was never persisted for resting, until its header is rewritten', () => {
    const links = fileAt('segment/link_lists.bin', 500, 0);
    expect(chromaRests([fileAt('segment/header.bin', 500), links], now)).toBe(true);
    expect(chromaRests([fileAt('segment/header.bin', 100), links], now)).toBe(false);
  });
});

describe('isSettled', () => {
  it('trusts times of the past and the future, not of the present tick', () => {
    expect(isSettled([fileAt('a', 100)], now)).toBe(true);
    expect(isSettled([fileAt('a', -3_600_000)], now)).toBe(true);
    expect(isSettled([fileAt('a', 100), fileAt('b', 5)], now)).toBe(false);
  });
});
