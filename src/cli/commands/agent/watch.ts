import { shutdownBudgetMs } from '../../../settings/use-config.ts';
import { exitCodes } from '../../../platform/errors.ts';
import { findWriters } from '../../../run/find-writers.ts';
import type { Command } from '../command.ts';
import { openAgent } from './open-agent.ts';

export const watchCommand: Command = {
  name: 'watch',
  describe: 'Keep running: back up after changes, and once more at the end',
  isQuery: false,
  ownsSignals: true,
  run: async (invocation) => {
    const { config } = invocation;
    // Signals are heard before the store is claimed, so that none is lost.
    const asked = firstSignal();
    const daemon = await openAgent(config, 'watch');
    try {
      await daemon.start();
      const name = await asked;
      daemon.tell({ type: 'stopping', reason: name });
      const deadlineMs = performance.now() + shutdownBudgetMs(config);
      const saved = await daemon.stop({ reason: 'shutdown', deadlineMs });
      const writers = await findWriters(daemon.status().store, config.exclude);
      daemon.tell({ type: 'stopped', ...saved, ...(writers.length === 0 ? {} : { writers }) });
      const { lastError } = daemon.status();
      return {
        result: { type: 'stopped', signal: name, ...saved, writers },
        lines: [],
        exitCode: saved.isSaved ? 0 : exitCodes[lastError?.code ?? 'INTERNAL'],
      };
    } finally {
      await daemon.close();
    }
  },
};

/** The first signal asks the agent to stop. The second ends the process at once, as the system would. */
function firstSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    // nodemon restarts by SIGUSR2. SIGUSR1 would start Node's debugger, so it is ignored.
    const names = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2'] as const;
    process.on('SIGUSR1', () => undefined);
    let isAsked = false;
    const onSignal = (name: NodeJS.Signals): void => {
      if (!isAsked) {
        isAsked = true;
        resolve(name);
        return;
      }
      for (const each of names) process.removeListener(each, onSignal);
      process.kill(process.pid, name);
    };
    for (const name of names) process.on(name, onSignal);
  });
}
