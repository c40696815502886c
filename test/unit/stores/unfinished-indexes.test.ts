import { describe, expect, it } from 'vitest';
import { indexFiles, unfinishedIndexes } from '../../../src/stores/chroma/unfinished-indexes.ts';
import { isSettled } from '../../../src/stores/content/fingerprint.ts';
import type { FileEntry } from '../../../src/stores/content/scan.ts';

const now = Date.UTC(2026, 0, 1);
const timeOf = (agoMs: number): bigint => BigInt(now - agoMs) * 1_000_000n;
const fileAt = (path: string, agoMs: number, size = 1): FileEntry => {
  const time = timeOf(agoMs);
  return { path, size, mode: 0o600, dev: 1n, ino: 1n, mtimeNs: time, ctimeNs: time };
};
/** An index whose files were written so many milliseconds ago, in the order of `indexFiles`. */
const index = (...agoMs: number[]): FileEntry[] =>
  agoMs.map((ago, place) => fileAt(`segment/${indexFiles[place] ?? ''}`, ago));
/** As if somebody had given the files other times afterwards, so many milliseconds ago. */
const touched = (files: FileEntry[], agoMs: number): FileEntry[] =>
  files.map((file) => ({ ...file, ctimeNs: timeOf(agoMs) }));

const judge = (files: FileEntry[], unfinishedMs: number): string => {
  const { active, stalled } = unfinishedIndexes(files, now, unfinishedMs);
  return active.length > 0 ? 'active' : stalled.length > 0 ? 'stalled' : 'at rest';
};

describe('unfinishedIndexes', () => {
  const future = index(-9000, -9000, -9000, -9000, -9000);

  it.each<[string, FileEntry[], string]>([
    ['a complete index, the pickle last', index(90, 80, 70, 60, 50), 'at rest'],
    ['one written within a timestamp tick', index(90, 80, 70, 60, 10), 'active'],
    ['one whose header is newer than its pickle', index(50, 900, 900, 900, 900), 'active'],
    ['one whose links are newer than its pickle', index(90, 80, 70, 60, 900), 'active'],
    ['one whose persist has paused for long', index(600, 900, 900, 900, 900), 'stalled'],
    ['a persist given up long ago', index(31_000, 40_000, 40_000, 40_000, 40_000), 'at rest'],
    ['a first persist that has not come to its pickle: no index yet', index(90, 80, 70, 60), 'at rest'],
    ['one with times in the future', future, 'at rest'],
    ['one that was copied just now, with times in the future', touched(future, 10), 'active'],
    ['a pickle of the future beside a header of now', [...index(100, 900), ...future.slice(2)], 'active'],
    [
      'one whose pickle is not written yet',
      [...index(90, 80, 70, 60), fileAt('segment/index_metadata.pickle', 50, 0)],
      'active',
    ],
    ['one whose header has a time centuries ahead', index(-1e13, 900, 900, 900, 900), 'at rest'],
    ['one whose pickle has, while its header is written', index(10, 900, 900, 900, -1e13), 'active'],
    [
      'one whose header is a second ahead, as of a server whose clock is',
      index(-1000, 900, 900, 900, 900),
      'active',
    ],
    ['no index at all', [fileAt('chroma.sqlite3', 0)], 'at rest'],
  ])('judges %s', (_, files, expected) => {
    expect(judge(files, 30_000)).toBe(expected);
  });

  it('takes copies in the order of their copying as they are, once the given time is over', () => {
    const copied = index(600, 610, 590, 580, 605);
    expect(judge(copied, 30_000)).toBe('stalled');
    expect(judge(copied, 500)).toBe('at rest');
    expect(judge(touched(copied, 300), 500)).toBe('active');
  });
});

describe('isSettled', () => {
  it('trusts times of the past and the future, not of the present tick', () => {
    expect(isSettled([fileAt('a', 100)], now)).toBe(true);
    expect(isSettled([fileAt('a', -3_600_000)], now)).toBe(true);
    expect(isSettled([fileAt('a', 100), fileAt('b', 5)], now)).toBe(false);
  });
});
