import type { PruneResult } from '../../../engine/history/prune.ts';
import type { KeepReason } from '../../../log/retention.ts';
import { counted, table } from '../../../report/format.ts';
import type { Command } from '../command.ts';

export const pruneCommand: Command = {
  name: 'prune',
  describe: 'Delete snapshots that no --keep setting keeps, and crash leftovers',
  isQuery: false,
  options: {
    resolve: {
      type: 'string',
      describe: 'Tip of a divergence to settle; may be repeated',
      isList: true,
    },
    'dry-run': { type: 'boolean', describe: 'Show what would be deleted, and why the rest is kept' },
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
  const { resolved, dropped, retained, objects, isDryRun } = result;
  const nothing = `Nothing to delete: ${counted(retained.length, 'snapshot')} kept`;
  if (isDryRun) {
    return [
      ...previewLines(result),
      ...resolved.map((id) => `would settle  ${id}`),
      dropped.length === 0
        ? nothing
        : `Would drop ${counted(dropped.length, 'snapshot')} and keep ${retained.length}`,
    ];
  }
  const settled = resolved.map((id) => `settled  ${id}`);
  if (dropped.length === 0 && objects === 0) return [...settled, nothing];
  return [
    ...settled,
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
  sound: 'newest that is sound',
  tip: 'unresolved tip',
  pinned: 'pinned',
};
