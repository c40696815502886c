import { SyncAgentError } from '../../../platform/errors.ts';
import type { Command } from '../command.ts';

export const protectCommand: Command = {
  name: 'protect',
  describe: 'Run a command that may harm the store: a snapshot before it, a check after it',
  isQuery: false,
  ownsSignals: true,
  // A running agent may be in the middle of a backup.
  lockWaitMs: 30_000,
  positionals: [
    {
      name: 'name',
      describe: 'What the command does, for the operation log and the snapshot',
      isRequired: true,
    },
  ],
  rest: {
    name: 'command',
    describe: 'Program to run, without a shell, and its arguments',
    isRequired: true,
  },
  options: {
    risky: {
      type: 'boolean',
      describe: 'Make a snapshot of this moment, not only if the newest one is older than --interval',
    },
    'force-backup': { type: 'boolean', describe: 'Make a snapshot even if nothing changed' },
    'on-failure': {
      type: 'string',
      describe:
        'If the command fails or the store is damaged: keep it, or restore the snapshot [default: keep]',
    },
    'pin-for': { type: 'string', describe: 'How long the snapshot is kept at least [default: 7d]' },
  },
  run: async (invocation) => {
    const { flags } = invocation;
    const { runProtected } = await import('./run-protected.ts');
    const pinForMs = flags.duration('pin-for');
    if (pinForMs === 0) throw new SyncAgentError('USAGE', 'Cannot use --pin-for = 0: expected more');
    return runProtected(invocation, {
      name: flags.text('name') ?? '',
      argv: flags.list('command'),
      options: {
        risk: flags.has('risky') ? 'risky' : 'write',
        forceBackup: flags.has('force-backup'),
        onFailure: flags.choice('on-failure', ['keep', 'restore']),
        pinForMs,
      },
    });
  },
};
