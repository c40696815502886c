import { SyncAgentError } from '../../../platform/errors.ts';
import { counted } from '../../../report/format.ts';
import type { Command } from '../command.ts';
import { pruneLines } from './prune.ts';

export const clearHistoryCommand: Command = {
  name: 'clear-history',
  describe: 'Delete all snapshots but the newest, the pinned and unresolved tips',
  isQuery: false,
  options: {
    yes: { type: 'boolean', describe: 'Delete them, at once and for good' },
    'dry-run': { type: 'boolean', describe: 'Show what would be deleted' },
  },
  run: async ({ agent, flags, signal }) => {
    const dryRun = flags.has('dry-run');
    if (!dryRun && !flags.has('yes')) {
      const { dropped } = await agent.clearHistory({ dryRun: true, signal });
      throw new SyncAgentError(
        'REFUSED',
        `Cannot clear the history: it would delete ${counted(dropped.length, 'snapshot')} for good`,
        {
          remedy: 'Add --yes to do it, or --dry-run to see which',
        },
      );
    }
    const result = await agent.clearHistory({ dryRun, signal });
    return { result, lines: pruneLines(result) };
  },
};
