import { expect, it } from 'vitest';
import {
  formatAge,
  formatBytes,
  formatDuration,
  printable,
  table,
  timeOfSnapshot,
} from '../../../src/report/format.ts';

it('bytes are shown in the unit that keeps them short', () => {
  expect([0, 1023, 1024, 1536, 1024 * 1024 - 1, 123 * 1024 ** 2, 5 * 1024 ** 4].map(formatBytes)).toEqual([
    '0 B',
    '1023 B',
    '1.0 KiB',
    '1.5 KiB',
    '1.0 MiB',
    '123 MiB',
    '5.0 TiB',
  ]);
});

it('durations are shown in their two largest units', () => {
  expect([0, 0.2, 850, 1500, 12_345, 65_000, 3_600_000, 90_061_000].map(formatDuration)).toEqual([
    '0ms',
    '<1ms',
    '850ms',
    '1.5s',
    '12s',
    '1m 5s',
    '1h',
    '1d 1h',
  ]);
  expect(formatAge(-5000)).toBe('just now');
});

it('the time of a snapshot is in its id', () => {
  expect(timeOfSnapshot('2026-11-21T11-30-05.123Z-7f3a9c2e')).toBe(Date.UTC(2026, 10, 21, 11, 30, 5, 123));
});

it('tables align', () => {
  expect(
    table(
      [{ title: 'A' }, { title: 'N', align: 'right' }],
      [
        ['long', '1'],
        ['x', '100'],
      ],
    ),
  ).toEqual(['A       N', 'long    1', 'x     100']);
});

it('a name from elsewhere cannot control the terminal', () => {
  expect(printable('a\u001B[31mb\u202Ec\nd')).toBe('a\uFFFD[31mb\uFFFDc d');
});
