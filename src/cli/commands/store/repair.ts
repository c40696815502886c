import type { Command, Outcome } from '../command.ts';
import { exitCodes } from '../../../platform/errors.ts';
import { repairLines } from '../../text/repair-lines.ts';

export const repairCommand: Command = {
  name: 'repair',
  describe: 'Mend a damaged store on a copy and put it in its place (for the remote: repair-remote)',
  isQuery: true,
  options: {
    orphans: { type: 'boolean', describe: 'Remove folders and rows that belong to no collection, too' },
    'accept-loss': {
      type: 'boolean',
      describe: 'Go on without records whose vector is nowhere any more; --dry-run names them',
    },
    'dry-run': { type: 'boolean', describe: 'Show what would be done' },
  },
  needsRemote: () => false,
  run: async ({ agent, flags, signal, style, commandLine }): Promise<Outcome> => {
    const result = await agent.repair({
      orphans: flags.has('orphans'),
      acceptLoss: flags.has('accept-loss'),
      dryRun: flags.has('dry-run'),
      signal,
    });
    const isGood = result.isSound && result.type !== 'failed';
    return {
      result,
      lines: repairLines(result, { style, commandLine }),
      exitCode: isGood ? 0 : exitCodes.STORE_CORRUPT,
    };
  },
};
