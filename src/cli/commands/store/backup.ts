import type { Command } from '../command.ts';
import { backupLines } from '../../text/backup-lines.ts';
import { exitCodes } from '../../../platform/errors.ts';

export const backupCommand: Command = {
  name: 'backup',
  describe: 'Make a snapshot of the store, while its application keeps running',
  isQuery: false,
  options: {
    'min-interval': {
      type: 'string',
      describe: 'Do nothing while the newest snapshot is younger, such as 1h',
    },
    force: {
      type: 'boolean',
      describe: 'Even when nothing changed, too soon, or beside a remote that was emptied',
    },
    'allow-shrink': { type: 'boolean', describe: 'Even when the store lost most of its content' },
    'accept-damage': {
      type: 'boolean',
      describe: 'Commit a damaged store as it is: marked, pinned, restored only by name',
    },
    'dry-run': {
      type: 'boolean',
      describe: 'Say what would be uploaded; with --force also check a store that did not change',
    },
  },
  run: async ({ agent, flags, signal, style, requests }) => {
    const result = await agent.backup({
      force: flags.has('force'),
      allowShrink: flags.has('allow-shrink'),
      acceptDamage: flags.has('accept-damage'),
      dryRun: flags.has('dry-run'),
      ...optional('minIntervalMs', flags.duration('min-interval')),
      signal,
    });
    const isDiverged = result.type === 'committed' && result.diverged.length > 0;
    return {
      result: { ...result, requests: requests() },
      lines: backupLines(result, requests(), style),
      exitCode: isDiverged ? exitCodes.DIVERGED : 0,
    };
  },
};

function optional<K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [P in K]?: V });
}
