import { lostHost, storeOf } from '../arrange.ts';
import type { Part } from '../part.ts';
import { runSeries } from '../round.ts';
import { makeSqliteStore } from '../stores/sqlite-store.ts';

export const memory: Part = {
  name: 'memory',
  run: async (bench) => {
    const { largeBytes } = bench.sizes;
    const store = await makeSqliteStore(largeBytes, bench.say);
    return {
      part: 'memory',
      title: 'Memory does not grow with the store',
      about: `One run each with one SQLite database of ${(largeBytes / 1e6).toFixed(0)} MB, which does not compress.`,
      samples: await runSeries(bench, {
        name: 'memory',
        tools: [bench.agent],
        target: 's3',
        rounds: 1,
        steps: [
          { name: 'cold backup, large store', act: 'backup', arrange: storeOf(store) },
          { name: 'nothing changed, large store', act: 'backup' },
          { name: 'cold restore, large store', act: 'restore', arrange: lostHost, expected: store },
        ],
      }),
      holds: [],
    };
  },
};
