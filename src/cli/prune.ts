import type { PruneResult } from '../engine/prune.ts';
import type { KeepReason } from '../snapshot/retention.ts';
import { counted, table } from '../report/format.ts';
import type { Command } from './command.ts';

export const pruneCommand: Command = {
  name: 'prune',
  describe: 'Delete snapshots that no --keep rule keeps, and what crashed runs left behind',
  isQuery: false,
  options: {
    resolve: {
      type: 'string',
      describe: 'Settle this tip of a divergence; may be given several times',
      isList: true,
    },
    'dry-run': { type: 'boolean', describe: 'Say what would be deleted, and why the rest is kept' },
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
  if (isDryRun) {
    return [
      ...previewLines(result),
      dropped.length === 0
        ? `Nothing to delete: ${counted(retained.length, 'snapshot')} kept`
        : `Would drop ${counted(dropped.length, 'snapshot')} and keep ${retained.length}`,
    ];
  }
  if (dropped.length === 0 && objects === 0)
    return [`Nothing to delete: ${counted(retained.length, 'snapshot')} kept`];
  return [
    ...dropped.map((id) => `dropped  ${id}`),
    `Dropped ${counted(dropped.length, 'snapshot')}, kept ${retained.length}; ${counted(objects, 'object')} deleted now, ` +
      'younger ones after the grace period',
  ];
}

/** Every snapshot, oldest first, with what becomes of it. */
function previewLines({ reasons }: PruneResult): readonly string[] {
  return table(
    [{ title: 'SNAPSHOT' }, { title: '' }, { title: 'BECAUSE' }],
    Object.entries(reasons).map(([id, why]) => [
      id,
      why.length > 0 ? 'keep' : 'would drop',
      why.map((reason) => words[reason]).join(', '),
    ]),
  );
}

const words: Readonly<Record<KeepReason, string>> = {
  newest: 'newest',
  last: 'last',
  hourly: 'hourly',
  daily: 'daily',
  weekly: 'weekly',
  monthly: 'monthly',
  oldest: 'oldest',
  within: 'keep-within',
  grace: 'grace period',
  tip: 'unresolved tip',
  pinned: 'pinned',
};
