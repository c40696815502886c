import { describe, expect, it } from 'vitest';
import { planBackup } from '../../../src/engine/backup/plan-backup.ts';
import type { BackupFacts } from '../../../src/engine/backup/plan-backup.ts';
import { snapshotAt } from '../../../src/engine/history/choose-snapshot.ts';
import { planRestore } from '../../../src/engine/restore/plan-restore.ts';
import type { RestoreFacts } from '../../../src/engine/restore/plan-restore.ts';
import type { LogEntry, Manifest, ManifestFile } from '../../../src/log/manifest.ts';
import { unresolvedTips } from '../../../src/log/retention.ts';

const idOf = (n: number): string => `2026-01-0${n}T00-00-00.000Z-0000000${n}`;
const file = (path: string, content: string, size = 100): ManifestFile => ({
  path,
  size,
  sha256: content.repeat(64),
  mode: 0o600,
  mtimeMs: 0,
});

function manifest(n: number, files: readonly ManifestFile[], extra: Partial<Manifest> = {}): Manifest {
  return {
    format: 1,
    id: idOf(n),
    generation: n,
    parent: null,
    createdAt: '2026-01-01T00:00:00.000Z',
    uploadId: '0'.repeat(32),
    host: 'h',
    agent: 'a',
    adapter: 'chroma',
    files: [...files],
    emptyDirectories: [],
    statistics: { records: 10 },
    stall: { heldMs: 0, longestHoldMs: 0 },
    log: [],
    resolved: [],
    ...extra,
  };
}

const noDirectories = { mode: 0o755, directories: [], emptyDirectories: [] };

function facts(files: readonly ManifestFile[], extra: Partial<BackupFacts> = {}): BackupFacts {
  const parent = manifest(1, [file('a', 'a'), file('b', 'b')]);
  const captured = { adapter: 'chroma' as const, files, ...noDirectories, statistics: { records: 10 } };
  return {
    captured,
    parent,
    newest: parent,
    isAnew: false,
    isCommitDue: false,
    allowShrink: false,
    isHeld: () => true,
    format: 1,
    sendsWhole: false,
    maxShrink: 0.5,
    ...extra,
  };
}

describe('planBackup', () => {
  it('does nothing with equal content, whatever the order and the times', () => {
    expect(planBackup(facts([{ ...file('b', 'b'), mtimeMs: 9 }, file('a', 'a')]))).toEqual({
      type: 'unchanged',
    });
  });

  it('commits equal content where that settles a choice', () => {
    const files = [file('a', 'a'), file('b', 'b')];
    expect(planBackup(facts(files, { isCommitDue: true }))).toMatchObject({ type: 'commit', upload: [] });
  });

  it('uploads what changed and reuses the rest, a renamed file too', () => {
    const plan = planBackup(facts([file('a', 'a'), file('c', 'b'), file('d', 'd')]));
    expect(plan).toMatchObject({
      type: 'commit',
      upload: [{ path: 'd' }],
      reuse: [{ source: { file: { path: 'a' } } }, { source: { file: { path: 'b' } } }],
    });
  });

  it('says what was in the place of a changed file, unless all is to be sent', () => {
    const files = [file('a', 'a'), file('b', 'c'), file('d', 'd')];
    const earlier = (extra: Partial<BackupFacts>): readonly string[] => {
      const plan = planBackup(facts(files, extra));
      return plan.type === 'commit'
        ? [...plan.earlier].map(([path, at]) => `${path} ${at.snapshot.id} ${at.file.sha256}`)
        : [plan.type];
    };
    const newest = manifest(2, [file('b', 'z')]);
    expect(earlier({ newest })).toEqual([`b ${manifest(1, []).id} ${file('b', 'b').sha256}`]);
    expect(earlier({ newest, parent: undefined, allowShrink: true })).toEqual([
      `b ${newest.id} ${file('b', 'z').sha256}`,
    ]);
    expect(earlier({ sendsWhole: true })).toEqual([]);
    expect(earlier({ format: 2 })).toEqual([]);
  });

  it('keeps what is known of the parts of a file that is reused', () => {
    const parts = { bytes: 1, sha256: ['0'.repeat(64)] };
    const parent = manifest(1, [{ ...file('a', 'a'), parts }, file('b', 'b')]);
    const plan = planBackup(facts([file('a', 'a'), file('b', 'c')], { parent, newest: parent }));
    expect(plan).toMatchObject({ reuse: [{ file: { path: 'a', parts } }] });
  });

  it('commits nothing for permissions alone where the remote moved on', () => {
    const newest = manifest(2, [file('a', 'z')]);
    const files = [{ ...file('a', 'a'), mode: 0o644 }, file('b', 'b')];
    expect(planBackup(facts(files, { newest })).type).toBe('unchanged');
    expect(planBackup(facts([...files, file('c', 'c')], { newest })).type).toBe('commit');
  });

  it('notices a change of permissions', () => {
    expect(planBackup(facts([{ ...file('a', 'a'), mode: 0o644 }, file('b', 'b')])).type).toBe('commit');
  });

  it.each([
    ['bytes', [file('a', 'x', 10)], {}],
    ['everything', [], {}],
  ])('refuses a store that lost most of its %s', (_, files, extra) => {
    expect(planBackup(facts(files, extra))).toMatchObject({ type: 'refuse' });
    expect(planBackup(facts(files, { ...extra, allowShrink: true })).type).toBe('commit');
  });

  it('refuses a store that lost most of its records, on a new host too', () => {
    const files = [file('a', 'x'), file('b', 'y')];
    const captured = { adapter: 'chroma' as const, files, ...noDirectories, statistics: { records: 4 } };
    expect(planBackup(facts(files, { captured })).type).toBe('refuse');
    expect(planBackup(facts(files, { captured, parent: undefined })).type).toBe('refuse');
  });

  it('refuses a Chroma store without its database, which is but files', () => {
    const files = [file('a', 'x'), file('b', 'y')];
    const captured = { adapter: 'files' as const, files, ...noDirectories, statistics: { records: 20 } };
    expect(planBackup(facts(files, { captured }))).toMatchObject({
      type: 'refuse',
      reason: expect.stringContaining('looks like a files store') as string,
    });
  });
});

const entry = (n: number, parent: number | null): LogEntry => ({
  generation: n,
  id: idOf(n),
  parent: parent === null ? null : idOf(parent),
  createdAt: `2026-01-0${n}T00:00:00.000Z`,
  host: 'h',
  bytes: 1,
  records: 1,
});

describe('planRestore', () => {
  const chain = [entry(1, null), entry(2, 1), entry(3, 2)];
  const forked = [entry(1, null), entry(2, 1), entry(3, 1)];
  const known = (parent: number, isUnchanged: boolean, settled: readonly string[] = []) => ({
    type: 'known' as const,
    parent: idOf(parent),
    parentGeneration: parent,
    isParentLost: false,
    isUnchanged,
    settled,
  });
  const unknown = (extra: Partial<Extract<RestoreFacts['local'], { type: 'unknown' }>>) => ({
    type: 'unknown' as const,
    equals: undefined,
    isEmpty: false,
    settled: [],
    ...extra,
  });
  const decide = (
    snapshots: readonly LogEntry[],
    local: RestoreFacts['local'],
    extra: Partial<RestoreFacts> = {},
  ) => {
    const target = snapshots.at(-1) ?? entry(1, null);
    return planRestore({ snapshots, target, local, isNamed: false, force: false, ...extra }).type;
  };

  it.each<[string, string, string]>([
    ['a missing store is restored', decide(chain, { type: 'missing' }), 'restore'],
    ['an equal one is left alone', decide(chain, known(3, true)), 'equal'],
    ['one that is ahead is left alone', decide(chain, known(3, false)), 'ahead'],
    ['an unchanged ancestor is replaced', decide(chain, known(1, true)), 'restore'],
    ['a changed ancestor has diverged', decide(chain, known(1, false)), 'diverged'],
    ['the other tip has diverged, changed or not', decide(forked, known(2, true)), 'diverged'],
    ['the other tip has diverged', decide(forked, known(2, false)), 'diverged'],
    ['a choice over the newest stands', decide(forked, known(2, false, [idOf(3)])), 'ahead'],
    ['--force restores over divergence', decide(forked, known(2, false), { force: true }), 'restore'],
    ['a name restores over what is ahead', decide(chain, known(3, false), { isNamed: true }), 'restore'],
    ['a long superseded snapshot is replaced', decide(chain.slice(2), known(1, true)), 'restore'],
    ['an unknown equal store is left alone', decide(chain, unknown({ equals: idOf(3) })), 'equal'],
    ['an unknown older one is replaced', decide(chain, unknown({ equals: idOf(1) })), 'restore'],
    ['an unknown one that equals the other tip', decide(forked, unknown({ equals: idOf(2) })), 'diverged'],
    ['an unknown one that equals none has diverged', decide(chain, unknown({})), 'diverged'],
    ['an unknown empty one is replaced', decide(chain, unknown({ isEmpty: true })), 'restore'],
    ['an unknown one chosen over the newest stays', decide(chain, unknown({ settled: [idOf(3)] })), 'ahead'],
    ['--force restores over an unknown one', decide(chain, unknown({}), { force: true }), 'restore'],
    ['a log that ends before the parent has diverged', decide(chain, known(9, true)), 'diverged'],
    [
      'one at the end of the log is equal, written or not',
      decide(chain, known(3, false), { log: 'equal' }),
      'equal',
    ],
    [
      'one unchanged that lacks what the log has is not',
      decide(chain, known(3, true), { log: 'behind' }),
      'restore',
    ],
    [
      'one that is behind the log of an ancestor is replaced',
      decide(chain, known(1, false), { log: 'behind' }),
      'restore',
    ],
    ['one with more than the log is ahead', decide(chain, known(3, false), { log: 'ahead' }), 'ahead'],
    [
      'one unchanged, of an earlier moment that was chosen, is ahead',
      decide(chain, known(3, true), { log: 'ahead' }),
      'ahead',
    ],
    [
      'one that went on beside the log has diverged',
      decide(chain, known(3, false), { log: 'diverged' }),
      'diverged',
    ],
    [
      'one unchanged beside the log has diverged',
      decide(chain, known(3, true), { log: 'diverged' }),
      'diverged',
    ],
    [
      '--force restores over what is beside the log',
      decide(chain, known(3, false), { log: 'diverged', force: true }),
      'restore',
    ],
    [
      'a name restores over what the log lacks',
      decide(chain, known(3, false), { log: 'ahead', isNamed: true }),
      'restore',
    ],
    [
      'a choice over a snapshot stands against its log',
      decide(forked, known(2, false, [idOf(3)]), { log: 'behind' }),
      'ahead',
    ],
    [
      'a lost parent stands against the log',
      decide(chain, { ...known(9, true), isParentLost: true }, { log: 'behind' }),
      'ahead',
    ],
    [
      'a missing store is restored, whatever the log',
      decide(chain, { type: 'missing' }, { log: 'equal' }),
      'restore',
    ],
    ['one whose parent was lost is ahead', decide(chain, { ...known(9, true), isParentLost: true }), 'ahead'],
  ])('%s', (_, found, expected) => {
    expect(found).toBe(expected);
  });
});

describe('snapshotAt', () => {
  const entries = [entry(1, null), entry(2, 1), entry(3, 2)];
  const timeOf = (n: number): number => Date.parse(`2026-01-0${n}T00:00:00.000Z`);

  it('is the newest that was taken by then, at that millisecond too', () => {
    const chosen = [timeOf(1), timeOf(2) - 1, timeOf(2), timeOf(3) + 1].map(
      (ms) => snapshotAt(entries, ms).id,
    );
    expect(chosen).toEqual([1, 1, 2, 3].map((n) => idOf(n)));
  });

  it('is none before the oldest, which is named, and none in an empty remote', () => {
    expect(() => snapshotAt(entries, timeOf(1) - 1)).toThrow(
      'Cannot go back to 2025-12-31T23:59:59.999Z: the oldest snapshot is of 2026-01-01T00:00:00.000Z',
    );
    expect(() => snapshotAt([], timeOf(1))).toThrow('the remote holds no snapshot');
  });
});

describe('unresolvedTips', () => {
  it('counts the newest as a tip even where it is settled', () => {
    expect(unresolvedTips([entry(1, null)], [idOf(1)])).toHaveLength(1);
  });
});
