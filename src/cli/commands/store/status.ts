import { exitCodes } from '../../../platform/errors.ts';
import type { StatusReport } from '../../../engine/status.ts';
import type { Command } from '../command.ts';
import { statusLines } from '../../text/status-lines.ts';

export const statusCommand: Command = {
  name: 'status',
  describe: 'Show the state of the store, its agent and the remote',
  isQuery: true,
  run: async ({ agent, config, signal, style }) => {
    const result = await agent.status({ signal });
    const lines = statusLines(result, {
      style,
      nowMs: Date.now(),
      store: config.store ?? result.store.path,
      place: { cwd: process.cwd(), home: process.env['HOME'] },
    });
    return { result, lines, exitCode: exitCodeOf(result) };
  },
};

/** For monitors: the code of an incomplete store, of the remote's error or of a divergence; else 0. */
function exitCodeOf({ remote, relation, tips }: StatusReport): number {
  if (relation === 'incomplete') return exitCodes.STORE_CORRUPT;
  if (!remote.isReachable) return exitCodes[remote.error.code];
  return relation === 'diverged' || tips.length > 1 ? exitCodes.DIVERGED : 0;
}
