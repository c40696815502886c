import { expect, it } from 'vitest';
import { livelyFiles } from '../../../src/stores/capture/lively-files.ts';
import type { FileEntry } from '../../../src/stores/content/scan.ts';

const nowMs = 1_800_000_000_000;

function file(path: string, ageMs: number): FileEntry {
  const ctimeNs = BigInt(nowMs - ageMs) * 1_000_000n;
  return { path, size: 1, mode: 0o644, dev: 1n, ino: 1n, mtimeNs: 0n, ctimeNs };
}

const many = (count: number, dir: string, ageMs: number): readonly FileEntry[] =>
  Array.from({ length: count }, (_, index) => file(`${dir}/${index}`, ageMs + index));

it('files written in the last minutes are lively, with the others of their directories', () => {
  const files = [file('a/old', 10_000_000), file('a/new', 1000), file('b/old', 10_000_000), file('new', 5)];
  expect(livelyFiles(files, nowMs)).toEqual(['new', 'a/old', 'a/new']);
});

it('a directory of many files does not make all of them lively', () => {
  const files = [...many(40, 'a', 10_000_000), file('a/new', 1000)];
  expect(livelyFiles(files, nowMs)).toEqual(['a/new']);
});

it('the newest are lively, and not more than a few hundred', () => {
  const files = [...many(10_000, 'a', 60_000), ...many(5, 'z', 1000)];
  const lively = livelyFiles(files, nowMs);
  expect(lively.slice(0, 5)).toEqual(['z/0', 'z/1', 'z/2', 'z/3', 'z/4']);
  expect(lively).toHaveLength(200);
});
