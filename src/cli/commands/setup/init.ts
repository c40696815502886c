import type { Command, Invocation, Outcome } from '../command.ts';

export const initCommand: Command = {
  name: 'init',
  describe: 'Set up: find the store, ask for the remote, test both, write config',
  isQuery: false,
  options: {
    yes: { type: 'boolean', describe: 'Ask nothing: take the flags, and what was found' },
    'config-in': {
      type: 'string',
      describe: 'Place of the config: file, or package (package.json) [default: file]',
    },
    prestart: {
      type: 'boolean',
      describe: 'Restore before each npm start, before the present prestart script',
    },
    'no-prestart': { type: 'boolean', describe: 'Do not change the scripts of package.json' },
    'skip-doctor': { type: 'boolean', describe: 'Do not test the store and the remote' },
    force: { type: 'boolean', describe: 'Change an existing configuration' },
  },
  needsRemote: () => false,
  run: async (invocation: Invocation): Promise<Outcome> => {
    const { setUp } = await import('../../init/set-up.ts');
    return setUp(invocation);
  },
};
