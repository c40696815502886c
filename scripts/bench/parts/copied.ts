import { rm } from 'node:fs/promises';
import type { Part, Sample } from '../part.ts';
import { runSeries } from '../round.ts';
import { copyStore } from '../stores/copy-store.ts';
import type { CopyMode } from '../stores/copy-store.ts';

export const copiedStep = (mode: CopyMode): string => `cold backup after cp ${mode}`;

export const copied: Part = {
  name: 'copied',
  run: async (bench) => {
    const { base } = await bench.chromaStores('growing');
    const samples: Sample[] = [];
    for (const mode of ['-a', '-r'] as const) {
      samples.push(
        ...(await runSeries(bench, {
          name: `copied${mode}`,
          tools: [bench.agent],
          target: 's3',
          rounds: bench.sizes.rounds,
          steps: [
            {
              name: copiedStep(mode),
              act: 'backup',
              arrange: async ({ store }) => {
                await rm(store, { recursive: true, force: true });
                await copyStore(base, store, mode);
              },
            },
          ],
        })),
      );
    }
    return {
      part: 'copied',
      title: 'A store that was copied a moment ago',
      about:
        '`cp -a` keeps the times of the files, `cp -r` makes new ones, which say nothing of the order in which a server wrote. ' +
        'The copy is still in memory only.',
      samples,
      holds: [],
    };
  },
};
