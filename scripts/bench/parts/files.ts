import { lostHost, storeOf } from '../arrange.ts';
import type { Part } from '../part.ts';
import { runSeries } from '../round.ts';
import { makeSmallFiles } from '../stores/small-files.ts';

export const filesSteps = {
  backup: 'cold backup, small files',
  nothingToBackUp: 'nothing changed, small files',
  restore: 'cold restore, small files',
} as const;

export const files: Part = {
  name: 'files',
  run: async (bench) => {
    const { rounds, smallFiles } = bench.sizes;
    const store = await makeSmallFiles(smallFiles, bench.say);
    return {
      part: 'files',
      title: 'Many small files',
      about: `${smallFiles.toLocaleString('en')} files of 100 to 3,000 bytes, backed up to a directory on the same disk.`,
      samples: await runSeries(bench, {
        name: 'files',
        tools: bench.tools.filter(({ targets }) => targets.includes('directory')),
        target: 'directory',
        rounds,
        steps: [
          { name: filesSteps.backup, act: 'backup', arrange: storeOf(store) },
          { name: filesSteps.nothingToBackUp, act: 'backup' },
          { name: filesSteps.restore, act: 'restore', arrange: lostHost, expected: store },
        ],
      }),
      holds: [],
    };
  },
};
