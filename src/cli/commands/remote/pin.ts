import type { Command } from '../command.ts';
import { pinText } from '../../text/pin-text.ts';

const positionals = [
  { name: 'snapshot', describe: 'Id, unique beginning of one, ~N or latest', isRequired: true },
];

export const pinCommand: Command = {
  name: 'pin',
  describe: 'Keep a snapshot until it is unpinned',
  isQuery: false,
  positionals,
  options: { reason: { type: 'string', describe: 'Why, for who finds it later' } },
  run: async ({ agent, flags, signal, style }) => {
    const result = await agent.pin(flags.text('snapshot') ?? 'latest', {
      reason: flags.text('reason'),
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
  describe: 'Leave a pinned snapshot to the retention rule again',
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
