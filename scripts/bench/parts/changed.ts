import { changedTo, lostHost, storeOf } from '../arrange.ts';
import type { Part, Sample } from '../part.ts';
import { runSeries } from '../round.ts';
import type { Metadata } from '../stores/chroma-stores.ts';

export const changedStep = (metadata: Metadata): string => `1 % more records, ${metadata} metadata`;

export const changed: Part = {
  name: 'changed',
  run: async (bench) => {
    const samples: Sample[] = [];
    for (const metadata of ['growing', 'random'] as const) {
      const { base, grown } = await bench.chromaStores(metadata);
      samples.push(
        ...(await runSeries(bench, {
          name: `changed-${metadata}`,
          tools: bench.tools,
          target: 's3',
          rounds: bench.sizes.rounds,
          isCounted: true,
          steps: [
            { name: 'first backup', act: 'backup', isMeasured: false, arrange: storeOf(base) },
            { name: changedStep(metadata), act: 'backup', arrange: changedTo(grown) },
            { name: 'restore', act: 'restore', isMeasured: false, arrange: lostHost, expected: grown },
          ],
        })),
      );
    }
    return {
      part: 'changed',
      title: 'Backup after 1 % more records',
      about:
        "Growing metadata, such as times, are added at the end of SQLite's indexes. Random ones, such as hashes, change " +
        'pages all over the database.',
      samples,
      holds: [],
    };
  },
};
