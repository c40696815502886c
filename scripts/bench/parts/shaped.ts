import { measureLinkCeiling } from '../measure/link-ceiling.ts';
import { startShapedLink } from '../measure/shaped-link.ts';
import { changedTo, lostHost, storeOf } from '../arrange.ts';
import type { Part } from '../part.ts';
import { runSeries } from '../round.ts';

export const shapedSteps = {
  backup: 'cold backup, shaped link',
  changed: '1 % more records, shaped link',
  restore: 'cold restore, shaped link',
} as const;

const speed = { bytesPerSecond: 40e6, roundTripMs: 20 };

export const shaped: Part = {
  name: 'shaped',
  run: async (bench) => {
    const { base, grown } = await bench.chromaStores('growing');
    const ceiling = await measureLinkCeiling(speed);
    const reached =
      `${(ceiling.upBytesPerSecond / 1e6).toFixed(1)} MB/s up, ${(ceiling.downBytesPerSecond / 1e6).toFixed(1)} MB/s down, ` +
      `a round trip of ${ceiling.roundTripMs.toFixed(1)} ms`;
    bench.say(`  shaped link: a plain transfer reaches ${reached}`);
    const link = await startShapedLink(bench.s3.endpoint, speed);
    try {
      return {
        part: 'shaped',
        title: 'Over a link of 40 MB/s and 20 ms',
        about:
          `A proxy shapes the link (scripts/bench/measure/shaped-link.ts). A plain transfer over one connection reached ${reached}. ` +
          'The metadata are growing ones.',
        samples: await runSeries(bench, {
          name: 'shaped',
          tools: bench.tools,
          target: 's3',
          endpoint: link.endpoint,
          rounds: bench.sizes.rounds,
          steps: [
            { name: shapedSteps.backup, act: 'backup', arrange: storeOf(base) },
            { name: shapedSteps.changed, act: 'backup', arrange: changedTo(grown) },
            { name: shapedSteps.restore, act: 'restore', arrange: lostHost, expected: grown },
          ],
        }),
        holds: [],
      };
    } finally {
      link.close();
    }
  },
};
