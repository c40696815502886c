import { expect, it } from 'vitest';
import { recommend } from '../../../src/stores/chroma/measuring/recommend.ts';

const measured = (records: number, recordsPerSecond: number, slowestMs: number) => ({
  records,
  recordsPerSecond,
  slowestMs,
  addMs: 1,
  medianMs: 1,
  serverBytes: null,
  memory: null,
});

it.each([
  [
    'the smallest that is nearly the quickest',
    [measured(1, 90, 10), measured(10, 950, 20), measured(100, 1000, 90)],
    10,
  ],
  [
    'none that takes longer than a second',
    [measured(10, 500, 20), measured(100, 900, 400), measured(1000, 2000, 1500)],
    100,
  ],
  ['the smallest of all if each takes longer', [measured(1, 1, 1200), measured(10, 5, 3000)], 1],
])('recommends %s', (_, batches, batchSize) => {
  expect(recommend(batches).batchSize).toBe(batchSize);
});
