import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LogEntry } from '../../../src/log/manifest.ts';
import { planClearing, planRetention, unresolvedTips } from '../../../src/log/retention.ts';
import type { AgedEntry, Marks, RetentionPlan, RetentionPolicy } from '../../../src/log/retention.ts';

const hour = 3_600_000;
const day = 24 * hour;
const idOf = (n: number): string => `2026-01-01T00-00-00.000Z-${n.toString(16).padStart(8, '0')}`;

const nothing: RetentionPolicy = {
  keepLast: 1,
  keepHourly: 0,
  keepDaily: 0,
  keepWeekly: 0,
  keepMonthly: 0,
  keepWithinMs: 0,
  graceMs: -1,
};

/** A chain, oldest first; each made at one of `times` and as old as if now were the last of them. */
function chain(times: readonly string[]): readonly AgedEntry[] {
  const now = Date.parse(times.at(-1) ?? '');
  return times.map((createdAt, index) => ({
    entry: entry(index + 1, index, createdAt),
    ageMs: now - Date.parse(createdAt),
  }));
}

function entry(generation: number, parent: number, createdAt: string): LogEntry {
  return {
    generation,
    id: idOf(generation),
    parent: parent === 0 ? null : idOf(parent),
    createdAt,
    host: 'h',
    bytes: 1,
    records: 1,
  };
}

const generations = (entries: readonly LogEntry[]): readonly number[] =>
  entries.map((each) => each.generation);

describe('the retention rule', () => {
  const times = [
    '2025-12-28T12:00:00Z', // 1: Sunday, the last day of ISO week 52
    '2025-12-29T12:00:00Z', // 2: Monday, week 1 of 2026
    '2025-12-31T23:59:59Z', // 3
    '2026-01-01T00:00:00Z', // 4: the same ISO week as 2 and 3
    '2026-01-04T10:00:00Z', // 5
    '2026-01-05T10:00:00Z', // 6: Monday, week 2
    '2026-01-05T10:59:59Z', // 7: the same hour
    '2026-01-05T12:00:00Z', // 8: none at 11
  ];
  const kept = (policy: Partial<RetentionPolicy>, marks?: Marks): readonly number[] =>
    generations(planRetention(chain(times), { ...nothing, ...policy }, marks).retained);

  it.each<[string, Partial<RetentionPolicy>, readonly number[]]>([
    ['the newest alone', {}, [8]],
    ['the last so many', { keepLast: 3 }, [6, 7, 8]],
    ['the newest of each hour, not counting hours without one', { keepHourly: 3 }, [5, 7, 8]],
    ['the newest of each day', { keepDaily: 3 }, [4, 5, 8]],
    ['the newest of each ISO week, across the turn of the year', { keepWeekly: 2 }, [5, 8]],
    ['the newest of each month', { keepMonthly: 2 }, [3, 8]],
    ['the oldest while a rule has room left', { keepMonthly: 3 }, [1, 3, 8]],
    ['what is not older', { keepWithinMs: day + 2 * hour }, [5, 6, 7, 8]],
    ['the grace period', { graceMs: 2 * hour }, [6, 7, 8]],
    ['whatever any of them keeps', { keepHourly: 2, keepWeekly: 2, keepMonthly: 2 }, [3, 5, 7, 8]],
  ])('keeps %s', (_, policy, expected) => {
    expect(kept(policy)).toEqual(expected);
  });

  it('keeps pinned snapshots and unresolved tips of any age', () => {
    expect(kept({}, { pinned: [idOf(2), 'of another remote'] })).toEqual([2, 8]);
    const forked = [...chain(times.slice(0, 2)), { entry: entry(3, 1, times[2] ?? ''), ageMs: 0 }];
    expect(generations(planRetention(forked, nothing).retained)).toEqual([2, 3]);
    expect(generations(planRetention(forked, nothing, { resolved: [idOf(2)] }).retained)).toEqual([3]);
  });

  it('gives its reasons', () => {
    const { reasons } = planRetention(
      chain(times),
      { ...nothing, keepLast: 2, keepHourly: 2, keepDaily: 9, keepWithinMs: 1, graceMs: 2 },
      { pinned: [idOf(2)] },
    );
    expect(Object.fromEntries([...reasons].map(([id, why]) => [Number(`0x${id.slice(-8)}`), why]))).toEqual({
      1: ['daily'],
      2: ['pinned', 'daily'],
      3: ['daily'],
      4: ['daily'],
      5: ['daily'],
      6: [],
      7: ['last', 'hourly'],
      8: ['newest', 'last', 'hourly', 'daily', 'within', 'grace'],
    });
    expect(planRetention(chain(times), { ...nothing, keepMonthly: 9 }).reasons.get(idOf(1))).toEqual([
      'oldest',
    ]);
  });

  it('keeps the newest even if it should keep none', () => {
    expect(kept({ keepLast: 0 })).toEqual([8]);
  });

  it('drops snapshots that a wrong clock dated into the future once as many others have followed', () => {
    const future = Array.from({ length: 5 }, (_, n) => `2099-01-0${n + 1}T00:00:00Z`);
    const honest = Array.from({ length: 5 }, (_, n) => `2026-01-0${n + 1}T00:00:00Z`);
    const snapshots = chain([...future, ...honest]).map((aged, index) => ({
      ...aged,
      ageMs: (10 - index) * day,
    }));
    const { retained } = planRetention(snapshots, { ...nothing, keepDaily: 5 });
    expect(generations(retained)).toEqual([6, 7, 8, 9, 10]);
  });
});

describe('clearing the history', () => {
  it('leaves the newest, pinned ones and unresolved tips', () => {
    const entries = [entry(1, 0, ''), entry(2, 1, ''), entry(3, 1, ''), entry(4, 3, ''), entry(5, 4, '')];
    expect(generations(planClearing(entries, {}).retained)).toEqual([2, 5]);
    expect(generations(planClearing(entries, { resolved: [idOf(2)], pinned: [idOf(3)] }).retained)).toEqual([
      3, 5,
    ]);
  });
});

interface Case {
  readonly snapshots: readonly AgedEntry[];
  readonly policy: RetentionPolicy;
  readonly marks: Required<Marks>;
}

/** Clocks that run, stand, go back and lie; commits in any order of age; forks; marks of what is not there. */
const cases: fc.Arbitrary<Case> = fc
  .record({
    drafts: fc.array(
      fc.record({
        parent: fc.nat(14),
        createdAtMs: fc.oneof(
          fc.integer({ min: 0, max: 80 * day }).map((ms) => Date.UTC(2026, 0, 20) + ms),
          fc.integer({ min: 0, max: 60 * hour }).map((ms) => Date.UTC(2026, 1, 27) + ms),
          fc.integer({ min: Date.UTC(1, 0, 1), max: Date.UTC(9999, 0, 1) }),
        ),
        ageMs: fc.integer({ min: -hour, max: 60 * day }),
      }),
      { maxLength: 14 },
    ),
    policy: fc.record({
      keepLast: fc.integer({ min: 1, max: 5 }),
      keepHourly: fc.nat(5),
      keepDaily: fc.nat(5),
      keepWeekly: fc.nat(5),
      keepMonthly: fc.nat(5),
      keepWithinMs: fc.oneof(fc.constant(0), fc.nat(30 * day)),
      graceMs: fc.nat(3 * day),
    }),
    resolved: fc.array(fc.integer({ min: 1, max: 15 }).map(idOf), { maxLength: 5 }),
    pinned: fc.array(fc.integer({ min: 1, max: 15 }).map(idOf), { maxLength: 5 }),
  })
  .map(({ drafts, policy, resolved, pinned }) => ({
    snapshots: drafts.map(({ parent, createdAtMs, ageMs }, index) => ({
      entry: entry(index + 1, Math.min(parent, index), new Date(createdAtMs).toISOString()),
      ageMs,
    })),
    policy,
    marks: { resolved, pinned },
  }));

const holds = (property: (each: Case) => void): void =>
  fc.assert(fc.property(cases, property), { numRuns: 3000 });

const plan = ({ snapshots, policy, marks }: Case): RetentionPlan => planRetention(snapshots, policy, marks);

describe('whatever the clocks say, the retention rule', () => {
  it('never drops the newest, a pinned one, an unresolved tip, or one within the grace period', () => {
    holds((each) => {
      const entries = each.snapshots.map((aged) => aged.entry);
      const tips = new Set(unresolvedTips(entries, each.marks.resolved));
      for (const dropped of plan(each).dropped) {
        const aged = each.snapshots.find(({ entry: own }) => own === dropped);
        expect(dropped).not.toBe(entries.at(-1));
        expect(each.marks.pinned).not.toContain(dropped.id);
        expect(tips.has(dropped)).toBe(false);
        expect(aged?.ageMs).toBeGreaterThan(each.policy.graceMs);
      }
    });
  });

  it('keeps or drops each in order, and has a reason exactly for those that it keeps', () => {
    holds((each) => {
      const { retained, dropped, reasons } = plan(each);
      const entries = each.snapshots.map((aged) => aged.entry);
      expect([...retained, ...dropped].toSorted((a, b) => a.generation - b.generation)).toEqual(entries);
      expect(retained).toEqual(entries.filter((own) => (reasons.get(own.id) ?? []).length > 0));
      expect([...reasons.keys()]).toEqual(entries.map(({ id }) => id));
      for (const why of reasons.values()) expect(new Set(why).size).toBe(why.length);
    });
  });

  it('drops nothing more when it is applied again', () => {
    holds((each) => {
      const left = new Set(plan(each).retained);
      const snapshots = each.snapshots.filter((aged) => left.has(aged.entry));
      expect(plan({ ...each, snapshots }).dropped).toEqual([]);
    });
  });

  it('never drops more because a rule was added or widened', () => {
    const more = fc.record({
      keepLast: fc.nat(3),
      keepHourly: fc.nat(3),
      keepDaily: fc.nat(3),
      keepWeekly: fc.nat(3),
      keepMonthly: fc.nat(3),
      keepWithinMs: fc.nat(9 * day),
      graceMs: fc.nat(day),
    });
    fc.assert(
      fc.property(cases, more, fc.array(fc.integer({ min: 1, max: 15 }).map(idOf)), (each, added, pins) => {
        const keys = Object.keys(added) as (keyof RetentionPolicy)[];
        const wider = Object.fromEntries(keys.map((key) => [key, each.policy[key] + added[key]]));
        const marks = { ...each.marks, pinned: [...each.marks.pinned, ...pins] };
        const before = new Set(plan(each).dropped);
        for (const dropped of plan({ ...each, policy: wider as unknown as RetentionPolicy, marks }).dropped)
          expect(before.has(dropped)).toBe(true);
      }),
      { numRuns: 3000 },
    );
  });

  it('keeps the same as a second, simple implementation', () => {
    holds((each) => {
      expect(generations(plan(each).retained)).toEqual(plainlyKept(each));
    });
  });
});

/** The rule once more, said by names of hours, days, weeks and months, with no thought of cost. */
function plainlyKept({ snapshots, policy, marks }: Case): readonly number[] {
  const newestFirst = snapshots.toReversed();
  const keep = new Set<AgedEntry>(newestFirst.slice(0, policy.keepLast));
  const byName = (count: number, nameOf: (date: Date) => string): void => {
    if (count === 0) return;
    const name = ({ entry: own }: AgedEntry): string => nameOf(new Date(own.createdAt));
    const names = [...new Set(newestFirst.map(name))].slice(0, count);
    for (const each of names) {
      const found = newestFirst.find((aged) => name(aged) === each);
      if (found !== undefined) keep.add(found);
    }
    const oldest = snapshots[0];
    if (names.length < count && oldest !== undefined) keep.add(oldest);
  };
  byName(policy.keepHourly, (date) => date.toISOString().slice(0, -11));
  byName(policy.keepDaily, (date) => date.toISOString().slice(0, -14));
  byName(policy.keepWeekly, (date) => isoWeekOf(date));
  byName(policy.keepMonthly, (date) => date.toISOString().slice(0, -17));
  const tips = unresolvedTips(
    snapshots.map((aged) => aged.entry),
    marks.resolved,
  );
  return snapshots
    .filter(
      (aged) =>
        keep.has(aged) ||
        tips.includes(aged.entry) ||
        marks.pinned.includes(aged.entry.id) ||
        aged.ageMs <= policy.graceMs ||
        (policy.keepWithinMs > 0 && aged.ageMs <= policy.keepWithinMs),
    )
    .map((aged) => aged.entry.generation);
}

/** ISO 8601: a week belongs to the year of its Thursday, and is numbered by it. */
function isoWeekOf(date: Date): string {
  const thursday = new Date(date);
  thursday.setUTCDate(date.getUTCDate() - ((date.getUTCDay() + 6) % 7) + 3);
  const first = new Date(0);
  first.setUTCFullYear(thursday.getUTCFullYear(), 0, 1);
  const days = Math.floor((thursday.getTime() - first.getTime()) / day);
  return `${thursday.getUTCFullYear()}-W${Math.floor(days / 7) + 1}`;
}
