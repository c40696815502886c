import { describe, expect, it } from 'vitest';
import { stateAfter } from '../../../scripts/soak-log/history.ts';
import type { Logged, Operation, SlotState } from '../../../scripts/soak-log/history.ts';
import { judge } from '../../../scripts/soak-log/judge.ts';
import { safeUntil } from '../../../scripts/soak-log/trouble.ts';

/** Sent at 1000, 2000 … and acknowledged 100 ms later. */
const history = (...operations: readonly Operation[]): readonly Logged[] =>
  operations.map((operation, index) => ({
    operation,
    sentAtMs: (index + 1) * 1000,
    ackedAtMs: (index + 1) * 1000 + 100,
  }));
const operations = history(
  { type: 'create', name: 'one', mark: 1 },
  { type: 'upsert', ids: ['a', 'b'], version: 1 },
  { type: 'update', ids: ['a'], version: 2 },
  { type: 'delete', ids: ['b'] },
  { type: 'rename', name: 'two' },
);
const after = (count: number): SlotState => stateAfter(undefined, operations.slice(0, count));
const verdict = (found: SlotState, safeUntilMs: number, sentUntilMs?: number) =>
  judge({
    base: undefined,
    operations,
    found,
    safeUntilMs,
    ...(sentUntilMs === undefined ? {} : { sentUntilMs }),
  });

describe('the judge of a restored store', () => {
  it('tells how many operations are there, and since when the others are lost', () => {
    expect(verdict(after(5), 5100)).toEqual({ count: 5, lostSinceMs: undefined, finding: undefined });
    expect(verdict(after(3), 3100)).toEqual({ count: 3, lostSinceMs: 4100, finding: undefined });
  });

  it('finds what was lost too early, is back, or is of a later moment', () => {
    expect(verdict(after(3), 4100).finding).toContain('as after 3 of 5 operations, not 4 to 5');
    expect(verdict(after(5), 0, 4500).finding).toContain('as after 5 of 5 operations, not 0 to 4');
    expect(verdict(undefined, 1100).finding).toContain('found no collection');
  });

  it('finds what is half there, old, or was never written', () => {
    for (const spoil of [
      (records: Map<string, { vector: number; text: number }>) => records.delete('b'),
      (records: Map<string, { vector: number; text: number }>) => records.set('c', { vector: 1, text: 1 }),
      (records: Map<string, { vector: number; text: number }>) => records.set('a', { vector: 2, text: 1 }),
    ]) {
      const found = after(2);
      spoil(found?.records ?? new Map<string, { vector: number; text: number }>());
      expect(verdict(found, 0).finding).toContain('it is as it never was');
    }
  });

  it('excuses only what a trouble reaches', () => {
    const trouble = { why: 'cut', fromMs: 5000, toMs: 6000, recoveryMs: 1000 };
    expect(safeUntil(6500, [trouble], 300)).toBe(4700);
    expect(safeUntil(9000, [trouble], 300)).toBe(8700);
    expect(safeUntil(9000, [trouble, { ...trouble, fromMs: 6900, toMs: undefined }], 300)).toBe(4700);
    expect(safeUntil(4000, [trouble], 300)).toBe(3700);
  });
});
