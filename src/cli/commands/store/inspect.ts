import { inspectLines } from '../../text/inspect-lines.ts';
import { sourceNamed, sourceNames } from '../../source-argument.ts';
import type { Command } from '../command.ts';

export const inspectCommand: Command = {
  name: 'inspect',
  describe: 'Show what is in a Chroma store: collections, indexes, queue, sizes, versions',
  isQuery: true,
  positionals: [{ name: 'source', describe: sourceNames, isRequired: false }],
  needsRemote: (flags) => sourceNamed(flags.text('source')).snapshot !== undefined,
  run: async ({ agent, flags, signal }) => {
    const result = await agent.inspect({ ...sourceNamed(flags.text('source')), signal });
    return { result, lines: inspectLines(result) };
  },
};
