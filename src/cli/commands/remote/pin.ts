import type { Command } from '../command.ts';
import { pinText, snapshotNames } from '../../text/snapshot-text.ts';

const positionals = [{ name: 'snapshot', describe: `Snapshot: ${snapshotNames}`, isRequired: true }];

export const pinCommand: Command = {
  name: 'pin',
  describe: 'Keep a snapshot until it is unpinned, whatever --keep settings say',
  isQuery: false,
  positionals,
  options: {
    reason: { type: 'string', describe: 'Why it is kept, up to 500 characters' },
    for: { type: 'string', describe: 'How long, such as 7d [default: until it is unpinned]' },
  },
  run: async ({ agent, flags, signal, style }) => {
    const result = await agent.pin(flags.text('snapshot') ?? 'latest', {
      reason: flags.text('reason'),
      forMs: flags.duration('for'),
      signal,
    });
    const text = pinText(result.pin ?? { reason: '' });
    return {
      result,
      lines: [`Snapshot ${style.bold(result.id)} is ${result.isChanged ? '' : 'already '}${text}`],
    };
  },
};

export const unpinCommand: Command = {
  name: 'unpin',
  describe: 'Let the --keep settings decide about a pinned snapshot again',
  isQuery: false,
  positionals,
  run: async ({ agent, flags, signal, style }) => {
    const result = await agent.unpin(flags.text('snapshot') ?? 'latest', { signal });
    return {
      result,
      lines: [
        result.isChanged
          ? `Snapshot ${style.bold(result.id)} is no longer pinned; the next backup or prune may drop it`
          : `Snapshot ${style.bold(result.id)} is not pinned`,
      ],
    };
  },
};
