import { describe, expect, it } from 'vitest';
import { planCopy } from '../../../src/engine/copying/plan-copy.ts';
import type { CopyFacts } from '../../../src/engine/copying/plan-copy.ts';
import type { LogEntry } from '../../../src/log/manifest.ts';
import { byPrecedence } from '../../../src/log/precedence.ts';

const from = 's3://source';
const entry = (
  name: string,
  generation: number,
  parent: string | null,
  more: Partial<LogEntry> = {},
): LogEntry => ({
  id: name,
  generation,
  parent,
  createdAt: '2026-11-21T12:00:00.000Z',
  host: 'h',
  bytes: 1,
  records: 1,
  ...more,
});
const copyOf = (
  { generation, epoch, ...rest }: LogEntry,
  at: number,
  more: Partial<LogEntry> = {},
): LogEntry => ({
  ...rest,
  generation: at,
  copied: { from, generation, ...(epoch === undefined ? {} : { epoch }) },
  ...more,
});
const [a, b, c] = [entry('a', 3, null), entry('b', 5, 'a'), entry('c', 6, 'b')];
const facts = (more: Partial<CopyFacts>): CopyFacts => ({
  from,
  source: [a, b, c],
  target: [],
  resolved: [],
  all: false,
  force: false,
  policy: {
    keepLast: 24,
    keepHourly: 0,
    keepDaily: 0,
    keepWeekly: 0,
    keepMonthly: 0,
    keepWithinMs: 0,
    graceMs: 7_200_000,
  },
  pinned: [],
  nowMs: Date.parse('2026-11-21T13:00:00.000Z'),
  ...more,
});
const planned = (more: Partial<CopyFacts>) => {
  const plan = planCopy(facts(more));
  if (plan.type === 'refuse') throw new Error(`refused: ${plan.unknown}`);
  return { ...plan, steps: plan.steps.map((step) => [step.entry.id, step.epoch, step.parent]) };
};

/** The target's newest snapshot after each commit of a plan. */
function newestAtEachCommit(
  target: readonly LogEntry[],
  more: Partial<CopyFacts>,
): readonly (string | undefined)[] {
  const plan = planCopy(facts({ target, ...more }));
  if (plan.type === 'refuse') throw new Error('refused');
  let next = Math.max(0, ...target.map(({ generation }) => generation));
  let live = [...target].toSorted(byPrecedence);
  const seen: (string | undefined)[] = [];
  const commit = (made: LogEntry): void => {
    live = [...live.filter(({ id }) => id !== made.id), made].toSorted(byPrecedence);
    seen.push(live.at(-1)?.id);
  };
  const newest = live.at(-1);
  if (plan.raise !== undefined && newest !== undefined)
    commit({ ...newest, generation: ++next, epoch: plan.raise });
  for (const { entry: each, epoch } of plan.steps) commit(copyOf(each, ++next, epoch === 0 ? {} : { epoch }));
  return seen;
}

describe('what is copied', () => {
  it('is the newest snapshot, or all, oldest first, without what is there', () => {
    expect(planned({}).steps).toEqual([['c', 0, 'b']]);
    expect(planned({ all: true }).steps).toEqual([
      ['a', 0, null],
      ['b', 0, 'a'],
      ['c', 0, 'b'],
    ]);
    expect(planned({ all: true, target: [copyOf(a, 1), copyOf(b, 2)] }).steps).toEqual([['c', 0, 'b']]);
    expect(planned({ all: true, target: [copyOf(a, 1), copyOf(b, 2), copyOf(c, 3)] }).steps).toEqual([]);
  });

  it('is nothing that the target would drop at once', () => {
    const policy = { ...facts({}).policy, keepLast: 2 };
    expect(planned({ all: true, policy }).steps).toEqual([
      ['b', 0, 'a'],
      ['c', 0, 'b'],
    ]);
    expect(planned({ all: true, policy, target: [copyOf(b, 1), copyOf(c, 2)] }).steps).toEqual([]);
    expect(planned({ all: true, policy: { ...policy, keepWithinMs: 86_400_000 } }).steps).toHaveLength(3);
  });

  it('is a child of its nearest ancestor that the target has', () => {
    expect(planned({ target: [copyOf(a, 1)] }).steps).toEqual([['c', 0, 'a']]);
  });

  it('never makes an older snapshot the newest, also if older ones come later', () => {
    expect(planned({ all: true, target: [copyOf(c, 1)] })).toMatchObject({
      raise: 1,
      steps: [
        ['a', 0, null],
        ['b', 0, 'a'],
      ],
    });
    expect(newestAtEachCommit([copyOf(c, 1)], { all: true })).toEqual(['c', 'c', 'c']);
    const d = entry('d', 9, 'c');
    expect(newestAtEachCommit([copyOf(c, 1)], { all: true, source: [a, b, c, d] })).toEqual([
      'c',
      'c',
      'c',
      'd',
    ]);
    // Raised once, it stays above them, and what comes later above it.
    const raised = copyOf(c, 2, { epoch: 1 });
    expect(newestAtEachCommit([copyOf(a, 3), raised], { all: true })).toEqual(['c']);
    expect(newestAtEachCommit([copyOf(a, 3), raised], { source: [a, b, c, d] })).toEqual(['d']);
  });

  it('keeps the rank of a host that lost its lease', () => {
    const leased = entry('n', 7, 'b', { epoch: 4 });
    const fenced = entry('f', 8, 'b', { epoch: 2 });
    const source = [a, b, fenced, leased].toSorted(byPrecedence);
    expect(newestAtEachCommit([], { all: true, source }).at(-1)).toBe('n');
    expect(newestAtEachCommit([copyOf(leased, 1, { epoch: 4 })], { all: true, source })).toEqual([
      'n',
      'n',
      'n',
    ]);
  });

  it('knows the rank of a copy that the source has dropped', () => {
    const dropped = copyOf(entry('x', 4, 'a'), 1);
    expect(newestAtEachCommit([dropped], { all: true })).toEqual(['x', 'x', 'b', 'c']);
  });
});

describe('a target with snapshots of its own', () => {
  const own = entry('own', 1, null);

  it('is refused if its newest is none of the source', () => {
    expect(planCopy(facts({ target: [own] }))).toEqual({ type: 'refuse', unknown: 'own' });
    expect(planCopy(facts({ target: [copyOf(a, 1), entry('own', 2, 'a')] }))).toMatchObject({
      type: 'refuse',
    });
    expect(
      planCopy(
        facts({ target: [{ ...copyOf(a, 1), id: 'x', copied: { from: 's3://other', generation: 1 } }] }),
      ),
    ).toMatchObject({ type: 'refuse' });
  });

  it('is copied to if the source has its newest, or grew from it, or a person insists', () => {
    expect(planned({ target: [entry('b', 2, null)] }).steps).toEqual([['c', 0, 'b']]);
    expect(planned({ target: [own], source: [entry('c', 6, 'own')] }).steps).toEqual([['c', 0, 'own']]);
    expect(planned({ target: [entry('own', 1, null, { epoch: 3 })], force: true }).steps).toEqual([
      ['c', 3, 'b'],
    ]);
  });
});

describe('tips', () => {
  it('are settled in the target if they are in the source, or none there', () => {
    const [one, other] = [entry('one', 2, 'x'), entry('other', 3, 'x')];
    const source = [one, other];
    expect(planned({ source, all: true }).settle).toEqual([]);
    expect(planned({ source, all: true, resolved: ['one'] }).settle).toEqual(['one']);
    // The source has dropped what was between them.
    expect(planned({ target: [copyOf(a, 1)], source: [entry('c', 6, 'b')] }).settle).toEqual(['a']);
  });
});
