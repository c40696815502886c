import { expect, it } from 'vitest';
import { chooseDrilled } from '../../../src/engine/drill/choose-drilled.ts';
import type { DrillRecord } from '../../../src/home/records/drill-record.ts';
import type { LogEntry } from '../../../src/log/manifest.ts';

const idOf = (day: number): string => `2026-11-0${day}T00-00-00.000Z-0000000${day}`;
const entry = (day: number, damaged?: true): LogEntry => ({
  generation: day,
  id: idOf(day),
  parent: null,
  createdAt: `2026-11-0${day}T00:00:00.000Z`,
  host: 'h',
  bytes: 1,
  records: 1,
  ...(damaged === undefined ? {} : { damaged }),
});
const entries = [entry(1), entry(2), entry(3), entry(4), entry(5, true)];
const record = (chosen: 'named' | 'newest' | 'least-recent', drilled: Record<string, number>): DrillRecord =>
  ({ last: { chosen }, passedAtMs: null, drilled }) as unknown as DrillRecord;
const sampled = (before: DrillRecord | undefined): unknown => {
  const { entry: found, chosen } = chooseDrilled(entries, { sample: true }, before);
  return [found.generation, chosen];
};

it('by default it is the newest that a restore takes by itself', () => {
  expect(chooseDrilled(entries, {}, record('newest', {}))).toMatchObject({
    entry: { generation: 4 },
    chosen: 'newest',
  });
});

it('a damaged one is drilled if it is named', () => {
  expect(chooseDrilled(entries, { snapshot: 'latest' }, undefined)).toMatchObject({
    entry: { generation: 5 },
  });
});

it('a sample is the newest, and in turn the one that was drilled longest ago', () => {
  expect(sampled(undefined)).toEqual([4, 'newest']);
  expect(sampled(record('newest', { [idOf(4)]: 9 }))).toEqual([3, 'least-recent']);
  expect(sampled(record('newest', { [idOf(3)]: 7, [idOf(4)]: 9 }))).toEqual([2, 'least-recent']);
  expect(sampled(record('newest', { [idOf(1)]: 5, [idOf(2)]: 3, [idOf(3)]: 4, [idOf(4)]: 9 }))).toEqual([2, 'least-recent']); // prettier-ignore
  expect(sampled(record('least-recent', {}))).toEqual([4, 'newest']);
  expect(sampled(record('named', {}))).toEqual([4, 'newest']);
});

it('without a sound one is NOT_FOUND', () => {
  expect(() => chooseDrilled([entry(5, true)], {}, undefined)).toThrow(
    expect.objectContaining({ code: 'NOT_FOUND' }),
  );
});
