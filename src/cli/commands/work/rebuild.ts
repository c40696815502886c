import type { Command } from '../command.ts';

export const rebuildCommand: Command = {
  name: 'rebuild',
  describe: 'Run a command that builds a new store aside, check it, and put it in the place of the old one',
  isQuery: false,
  ownsSignals: true,
  // A running agent may be in the middle of a backup.
  lockWaitMs: 30_000,
  rest: {
    name: 'command',
    describe: 'Program that builds in $SYNC_AGENT_BUILD_DIR, without a shell, and its arguments',
    isRequired: true,
  },
  options: {
    'allow-shrink': { type: 'boolean', describe: 'Accept a new store that has much less than the old one' },
    'skip-backup': { type: 'boolean', describe: 'Keep no rollback copy of the replaced store' },
    wait: {
      type: 'string',
      describe: 'After the command, wait so long until nobody has the old store open (default: 0)',
    },
  },
  run: async (invocation) => {
    const { flags } = invocation;
    const { runRebuild } = await import('./run-rebuild.ts');
    return runRebuild(invocation, flags.list('command'), {
      allowShrink: flags.has('allow-shrink'),
      skipBackup: flags.has('skip-backup'),
      waitMs: flags.duration('wait'),
    });
  },
};
