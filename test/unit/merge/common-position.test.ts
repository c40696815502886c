import { describe, expect, it } from 'vitest';
import { bothReach, commonSnapshot, lineOf, reachOf } from '../../../src/engine/merge/common-position.ts';
import type { LogEntry } from '../../../src/log/manifest.ts';
import type { LogPosition } from '../../../src/stores/operation-log.ts';

const entry = (id: string, generation: number, parent: string | null): LogEntry => ({
  id,
  generation,
  parent,
  createdAt: '2026-11-21T11:30:05.123Z',
  host: 'host',
  bytes: 1,
  records: 1,
});
/** Two hosts that parted at `p`: `a1`, `a2` and `b1`. `x` comes from nowhere. */
const entries = [
  entry('root', 1, null),
  entry('p', 2, 'root'),
  entry('a1', 3, 'p'),
  entry('b1', 4, 'p'),
  entry('a2', 5, 'a1'),
  entry('x', 6, null),
];
const named = (id: string): LogEntry => entries.find((each) => each.id === id) as LogEntry;
const between = (a: string, b: string): readonly (string | undefined)[] => {
  const { snapshot, ours, theirs } = commonSnapshot(entries, named(a), named(b));
  return [snapshot.id, ours?.id, theirs?.id];
};

describe('the newest snapshot from which two went on', () => {
  it.each([
    ['a2', 'b1', ['p', 'a1', 'b1']],
    ['b1', 'a2', ['p', 'b1', 'a1']],
    ['p', 'b1', ['p', undefined, 'b1']],
    ['a2', 'p', ['p', 'a1', undefined]],
    ['a1', 'root', ['root', 'p', undefined]],
  ])('of %s and %s', (a, b, expected) => {
    expect(between(a, b)).toEqual(expected);
  });

  it('is missing between stores of different origin', () => {
    expect(() => between('a2', 'x')).toThrow(
      expect.objectContaining({
        code: 'REFUSED',
        message: 'Cannot merge snapshot x into a2: the remote has no snapshot that both grew from',
      }) as Error,
    );
  });

  it('is looked for in a log that names a circle without an end', () => {
    const circle = [entry('c', 1, 'd'), entry('d', 2, 'c')];
    expect(lineOf(circle, circle[1] as LogEntry).map(({ id }) => id)).toEqual(['d', 'c']);
  });
});

describe('how far a side has the log', () => {
  const ends = [1, 2, 3].map((number): LogPosition => ({ number, operation: 'x', rest: 'y' }));
  it.each([
    ['yes yes yes', { least: 3, most: 3 }],
    ['yes yes no', { least: 2, most: 2 }],
    ['no no no', { least: 0, most: 0 }],
    ['yes unknown no', { least: 1, most: 2 }],
    ['unknown unknown unknown', { least: 0, most: 3 }],
    ['unknown unknown yes', { least: 3, most: 3 }],
    // It cannot have been at a later position.
    ['yes no unknown', { least: 1, most: 1 }],
  ])('is told by its own queue: %s', (answers, expected) => {
    const told = answers.split(' ') as ('yes' | 'no' | 'unknown')[];
    expect(reachOf(ends, ({ number }) => told[number - 1] ?? 'no')).toEqual(expected);
  });

  it('is what both have', () => {
    const [a, b] = [
      { least: 1, most: 3 },
      { least: 2, most: 2 },
    ];
    expect(bothReach(a, b)).toEqual({ least: 1, most: 2 });
    expect(bothReach(b, a)).toEqual({ least: 1, most: 2 });
  });
});
