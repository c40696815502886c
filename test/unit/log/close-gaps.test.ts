import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { closeGaps } from '../../../src/log/close-gaps.ts';
import type { LogEntry } from '../../../src/log/manifest.ts';
import { isAncestor, unresolvedTips } from '../../../src/log/retention.ts';

const idOf = (n: number): string => `2026-01-01T00-00-00.000Z-${n.toString(16).padStart(8, '0')}`;
const entry = (n: number, parent: number | null): LogEntry => ({
  generation: n,
  id: idOf(n),
  parent: parent === null ? null : idOf(parent),
  createdAt: '2026-01-01T00:00:00.000Z',
  host: 'h',
  bytes: 1,
  records: 1,
});

/** Any forest of snapshots, and which of them stay; the newest does. */
const forests = fc
  .array(fc.record({ parent: fc.nat(12), stays: fc.boolean() }), { minLength: 1, maxLength: 12 })
  .map((drafts) => {
    const entries = drafts.map(({ parent }, index) => entry(index + 1, Math.min(parent, index) || null));
    const stays = (_: LogEntry, index: number): boolean =>
      drafts[index]?.stays === true || index === entries.length - 1;
    return {
      entries,
      retained: entries.filter(stays),
      dropped: entries.filter((each, index) => !stays(each, index)),
    };
  });

describe('dropping snapshots from between others', () => {
  it('keeps the ancestors of each snapshot', () => {
    fc.assert(
      fc.property(forests, ({ entries, retained, dropped }) => {
        const closed = closeGaps(retained, dropped, []).entries;
        expect(closed.map(({ id }) => id)).toEqual(retained.map(({ id }) => id));
        for (const a of retained)
          for (const b of retained)
            expect(isAncestor(closed, a.id, b.id)).toBe(isAncestor(entries, a.id, b.id));
      }),
    );
  });

  it('makes no new tips', () => {
    fc.assert(
      fc.property(forests, ({ entries, retained, dropped }) => {
        const before = unresolvedTips(entries, []).map(({ id }) => id);
        const closed = closeGaps(retained, dropped, []);
        const after = unresolvedTips(closed.entries, closed.settled).map(({ id }) => id);
        expect(after).toEqual(before.filter((id) => retained.some((each) => each.id === id)));
      }),
    );
  });

  it('keeps the true parent if no ancestor is left, and ends on circular lineage', () => {
    expect(closeGaps([entry(3, 2)], [entry(2, 1)], []).entries).toEqual([entry(3, 2)]);
    const circle = closeGaps([entry(3, 1)], [entry(1, 2), entry(2, 1)], []);
    expect(circle).toEqual({ entries: [entry(3, 1)], settled: [] });
  });
});
