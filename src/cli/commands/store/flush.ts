import type { Command } from '../command.ts';

export const flushCommand: Command = {
  name: 'flush',
  describe: 'Wait until all that was written is in the remote',
  isQuery: false,
  options: {
    timeout: { type: 'string', describe: 'Longest wait for the agent, 30s by default' },
  },
  run: async ({ agent, flags, signal }) => {
    const timeoutMs = flags.duration('timeout');
    const result = await agent.flush({ ...(timeoutMs === undefined ? {} : { timeoutMs }), signal });
    return { result, lines: [lineOf(result)] };
  },
};

function lineOf(result: { readonly type: string; readonly id?: string }): string {
  switch (result.type) {
    case 'flushed':
      return 'All that was written before is in the remote';
    case 'unchanged':
      return `All that was written is in snapshot ${result.id ?? ''}`;
    default:
      return `All that was written before is in the new snapshot ${result.id ?? ''}`;
  }
}
