import type { Command, Invocation, Outcome } from '../command.ts';

export const initCommand: Command = {
  name: 'init',
  describe: 'Set up: find the store, ask where to keep it, try that out, write the configuration',
  isQuery: false,
  options: {
    yes: { type: 'boolean', describe: 'Ask nothing: flags answer, or what was found' },
    'config-in': {
      type: 'string',
      describe: 'Where to write it: file (sync-agent.config.json) or package (package.json) [default: file]',
    },
    prestart: { type: 'boolean', describe: 'Restore before each npm start, ahead of what prestart does now' },
    'no-prestart': { type: 'boolean', describe: 'Leave the scripts of package.json alone' },
    'skip-doctor': { type: 'boolean', describe: 'Do not try the answers out' },
    force: { type: 'boolean', describe: 'Change a configuration that is there' },
  },
  needsRemote: () => false,
  run: async (invocation: Invocation): Promise<Outcome> => {
    const { setUp } = await import('../../init/set-up.ts');
    return setUp(invocation);
  },
};
