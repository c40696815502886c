import type { PruneResult } from '../engine/prune.ts';
import { counted } from '../report/format.ts';
import type { Command } from './command.ts';

export const pruneCommand: Command = {
  name: 'prune',
  describe: 'Delete snapshots beyond --keep and what crashed runs left behind',
  isQuery: false,
  options: {
    resolve: {
      type: 'string',
      describe: 'Settle this tip of a divergence; may be given several times',
      isList: true,
    },
    'dry-run': { type: 'boolean', describe: 'Say what would be deleted' },
  },
  run: async ({ agent, flags, signal }) => {
    const result = await agent.prune({
      resolve: flags.list('resolve'),
      dryRun: flags.has('dry-run'),
      signal,
    });
    return { result, lines: pruneLines(result) };
  },
};

export function pruneLines(result: PruneResult): readonly string[] {
  const { dropped, retained, objects, isDryRun } = result;
  if (dropped.length === 0 && objects === 0)
    return [`Nothing to delete: ${counted(retained.length, 'snapshot')} kept`];
  return [
    ...dropped.map((id) => `${isDryRun ? 'would drop' : 'dropped'}  ${id}`),
    isDryRun
      ? `Would drop ${counted(dropped.length, 'snapshot')} and keep ${retained.length}`
      : `Dropped ${counted(dropped.length, 'snapshot')}, kept ${retained.length}; ${counted(objects, 'object')} deleted now, ` +
        'younger ones after the grace period',
  ];
}
