import { expect, it } from 'vitest';
import { formatCount } from '../../../src/report/format.ts';

it.each([0, 7, 999, 1000, 12_345, 100_000, 1_234_567, -4321])('%d is written as in English', (count) => {
  expect(formatCount(count)).toBe(count.toLocaleString('en-US'));
});
