import { nodeFileSystem } from '../../../platform/file-system.ts';
import { locateHome } from '../../../home/home.ts';
import type { Command } from '../command.ts';

export const notifyCommand: Command = {
  name: 'notify',
  describe: 'Tell the running agent that the store was written',
  isQuery: false,
  needsRemote: () => false,
  run: async ({ config }) => {
    const [{ notifyAgent }, { isAgentRunning }] = await Promise.all([
      import('../../../agent/notifications.ts'),
      import('../../../home/lock.ts'),
    ]);
    const home = await locateHome(config.store ?? '');
    await notifyAgent(nodeFileSystem, home, Date.now());
    const isRunning = await isAgentRunning(home);
    return {
      result: { type: 'notified', store: home.store, isAgentRunning: isRunning },
      lines: [
        isRunning
          ? 'The agent was told'
          : 'No agent is running beside this store; the next one looks at the store when it starts',
      ],
    };
  },
};
