import { describe, expect, it } from 'vitest';
import { soundnessOf } from '../../../src/engine/soundness/soundness.ts';
import type { Problem } from '../../../src/stores/adapter.ts';

const broken = (where: string): Problem => ({ kind: 'database', where, message: `${where} is corrupt` });
const base = (paths: readonly string[], noted: readonly string[] = []) => ({
  files: paths.map((path) => ({ path, size: 1, sha256: 'x', mode: 0o600, mtimeMs: 0 })),
  findings: noted.map(broken),
});
const report = (databases: readonly string[], damaged: readonly string[]) => ({
  damage: damaged.map(broken),
  findings: [],
  databases,
});

describe('a damaged database', () => {
  it.each([
    ['alone in the store', ['a.db'], ['a.db'], undefined, ['a.db']],
    [
      'alone, before any snapshot and after one that noted it',
      ['a.db'],
      ['a.db'],
      base(['a.db'], ['a.db']),
      ['a.db'],
    ],
    ['one of several that are all damaged', ['a.db', 'b.db'], ['a.db', 'b.db'], undefined, ['a.db', 'b.db']],
    [
      'of which a snapshot holds a sound version',
      ['a.db', 'b.db'],
      ['a.db'],
      base(['a.db', 'b.db']),
      ['a.db'],
    ],
  ])('%s blocks', (_, databases, damaged, before, blocking) => {
    const { damage, findings } = soundnessOf(report(databases, damaged), before);
    expect(damage.map(({ where }) => where)).toEqual(blocking);
    expect(findings).toEqual([]);
  });

  it.each([
    ['that was renamed beside a sound one', base(['app.db'])],
    ['that was damaged in the snapshot before', base(['app.db', 'app.db.old'], ['app.db.old'])],
    ['beside a sound one in a first backup', undefined],
  ])('%s is a finding', (_, before) => {
    const { damage, findings } = soundnessOf(report(['app.db', 'app.db.old'], ['app.db.old']), before);
    expect(damage).toEqual([]);
    expect(findings).toMatchObject([{ kind: 'other-database', where: 'app.db.old' }]);
  });

  it('never hides what is wrong with something else than a database', () => {
    const index: Problem = { kind: 'vector-index', where: 'collection "a"', message: 'Collection "a": lost' };
    const found = { damage: [index], findings: [], databases: ['chroma.sqlite3'] };
    expect(soundnessOf(found, undefined).damage).toEqual([index]);
  });
});
