import { lostHost, storeOf } from '../arrange.ts';
import type { Part } from '../part.ts';
import { runSeries } from '../round.ts';

export const coldSteps = {
  backup: 'cold backup',
  nothingToBackUp: 'backup, nothing changed',
  restore: 'cold restore',
  nothingToRestore: 'restore, nothing changed',
} as const;

export const cold: Part = {
  name: 'cold',
  run: async (bench) => {
    const { base } = await bench.chromaStores('growing');
    return {
      part: 'cold',
      title: 'Cold backup, cold restore, nothing to do',
      about: 'The remote is empty at first; the restore is that of a new host.',
      samples: await runSeries(bench, {
        name: 'cold',
        tools: bench.tools,
        target: 's3',
        rounds: bench.sizes.rounds,
        isCounted: true,
        steps: [
          { name: coldSteps.backup, act: 'backup', arrange: storeOf(base) },
          { name: coldSteps.nothingToBackUp, act: 'backup' },
          { name: coldSteps.restore, act: 'restore', arrange: lostHost, expected: base },
          { name: coldSteps.nothingToRestore, act: 'restore' },
        ],
      }),
      holds: [],
    };
  },
};
