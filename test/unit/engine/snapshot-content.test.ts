import { describe, expect, it } from 'vitest';
import { snapshotContent } from '../../../src/engine/snapshot-content.ts';
import type { Manifest } from '../../../src/log/manifest.ts';

const file = (path: string) => ({ path, size: 1, sha256: 'a'.repeat(64), mode: 0o600, mtimeMs: 0 });
const manifest = (
  paths: readonly string[],
  emptyDirectories: readonly string[] = [],
  directories: readonly string[] = [],
): Manifest =>
  ({
    adapter: 'files',
    files: paths.map(file),
    emptyDirectories,
    directories: directories.map((path) => ({ path, mode: 0o755 })),
    statistics: { records: paths.length },
  }) as unknown as Manifest;

const shape = ({ files, emptyDirectories, directories, statistics }: Manifest) => ({
  files: files.map(({ path }) => path),
  emptyDirectories,
  directories: directories?.map(({ path }) => path),
  records: statistics.records,
});

describe('what of a snapshot counts', () => {
  it('is all of it, as it is, where nothing is excluded', () => {
    const whole = manifest(['a', 'd/b'], ['e'], ['d', 'e']);
    expect(snapshotContent(whole)).toBe(whole);
    expect(snapshotContent(whole, ['*.log'])).toBe(whole);
  });

  it('is not what an older version took for content', () => {
    const old = manifest(['a', '.DS_Store', '.snapshot/a'], ['lost+found'], ['.snapshot', 'lost+found']);
    expect(shape(snapshotContent(old))).toEqual({
      files: ['a'],
      emptyDirectories: [],
      directories: [],
      records: 1,
    });
  });

  it('is not what is excluded, with the directories that hold nothing else', () => {
    const before = manifest(
      ['a', 'd/b', 'd/c.log', 'logs/day/x.log'],
      ['cache/x', 'e'],
      ['cache', 'cache/x', 'd', 'e', 'logs', 'logs/day'],
    );
    expect(shape(snapshotContent(before, ['*.log', '/cache/']))).toEqual({
      files: ['a', 'd/b'],
      emptyDirectories: ['e'],
      directories: ['d', 'e'],
      records: 2,
    });
  });

  it('is no empty directory that the store has for what is excluded', () => {
    const before = manifest(['a'], ['logs', 'e'], ['logs', 'e']);
    const { emptyDirectories, directories } = shape(
      snapshotContent(before, ['*.log'], [{ path: 'logs' }, { path: 'logs/a.log' }]),
    );
    expect({ emptyDirectories, directories }).toEqual({ emptyDirectories: ['e'], directories: ['e'] });
  });
});
