import type { Command, Outcome } from '../command.ts';
import { maintainLines } from '../../text/maintain-lines.ts';

const journalModes = ['wal', 'delete'] as const;

export const maintainCommand: Command = {
  name: 'maintain',
  describe: 'Compact the database of a stopped store, after a snapshot of it',
  isQuery: true,
  options: {
    'journal-mode': {
      type: 'string',
      describe: 'Set how SQLite keeps transactions: wal or delete (what Chroma makes) [default: as it is]',
    },
    'dry-run': { type: 'boolean', describe: 'Estimate what would be gained' },
  },
  needsRemote: (flags) => !flags.has('dry-run'),
  run: async ({ agent, flags, signal, style, commandLine }): Promise<Outcome> => {
    const journalMode = flags.choice('journal-mode', journalModes);
    const result = await agent.maintain({
      ...(journalMode === undefined ? {} : { journalMode }),
      dryRun: flags.has('dry-run'),
      signal,
    });
    return { result, lines: maintainLines(result, { style, commandLine }) };
  },
};
