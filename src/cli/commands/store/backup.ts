import type { Command } from '../command.ts';
import { backupLines } from '../../text/backup-lines.ts';
import { exitCodes } from '../../../platform/errors.ts';

export const backupCommand: Command = {
  name: 'backup',
  describe: 'Make a snapshot of the store while its application keeps running',
  isQuery: false,
  options: {
    'min-interval': {
      type: 'string',
      describe: 'Minimum age of the newest snapshot, such as 1h; else do nothing',
    },
    label: {
      type: 'string',
      describe:
        'Name for the snapshot, usable wherever a snapshot is named; makes one even if nothing changed',
    },
    force: {
      type: 'boolean',
      describe:
        'Back up even if nothing changed, too soon, or to an emptied remote; send changed files whole',
    },
    'allow-shrink': { type: 'boolean', describe: 'Back up even if the store lost most of its content' },
    'accept-damage': {
      type: 'boolean',
      describe: 'Back up even a damaged store: marked, pinned, restored only by name',
    },
    'no-prune': { type: 'boolean', describe: 'Drop no older snapshot, whatever the --keep settings say' },
    'dry-run': {
      type: 'boolean',
      describe: 'Show what would be uploaded; with --force check an unchanged store',
    },
  },
  run: async ({ agent, flags, signal, style, requests }) => {
    const result = await agent.backup({
      force: flags.has('force'),
      allowShrink: flags.has('allow-shrink'),
      acceptDamage: flags.has('accept-damage'),
      prune: !flags.has('no-prune'),
      dryRun: flags.has('dry-run'),
      ...optional('label', flags.text('label')),
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
