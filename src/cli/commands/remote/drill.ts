import { damageKinds } from '../../../engine/drill/damage-kinds.ts';
import { exitCodes, SyncAgentError } from '../../../platform/errors.ts';
import { drillLines } from '../../text/drill-lines.ts';
import { snapshotNames } from '../../text/snapshot-text.ts';
import type { Command } from '../command.ts';

export const drillCommand: Command = {
  name: 'drill',
  describe: 'Prove that a snapshot restores: into a scratch directory, with its own server',
  isQuery: true,
  options: {
    snapshot: { type: 'string', describe: `Snapshot to restore: ${snapshotNames} [default: latest]` },
    sample: {
      type: 'boolean',
      describe: 'Take turns: the newest snapshot, then the one that was drilled longest ago',
    },
    server: {
      type: 'string',
      describe:
        'Command that starts a server, with {dir} and {port} in it, or off [default: chroma, if it is installed]',
    },
    damage: {
      type: 'string',
      describe: `Rehearse this damage on the copy: ${damageKinds.join(', ')}`,
    },
  },
  run: async ({ agent, config, flags, signal, style }) => {
    const snapshot = flags.text('snapshot');
    if (snapshot !== undefined && flags.has('sample')) {
      throw new SyncAgentError('USAGE', `Cannot drill "${snapshot}" and --sample at once`, {
        remedy: 'Leave one of them out',
      });
    }
    const result = await agent.drill({
      snapshot,
      sample: flags.has('sample'),
      server: flags.text('server') ?? config.drillServer,
      damage: flags.choice('damage', damageKinds),
      signal,
    });
    return {
      result,
      lines: drillLines(result, style),
      exitCode: result.type === 'passed' ? 0 : exitCodes.SNAPSHOT_CORRUPT,
    };
  },
};
