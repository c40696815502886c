import type { Prefer } from '../../../engine/merge/merge-result.ts';
import { SyncAgentError, exitCodes } from '../../../platform/errors.ts';
import { serverNamed } from '../../server-argument.ts';
import { mergeLines } from '../../text/merge-lines.ts';
import { snapshotNames } from '../../text/snapshot-text.ts';
import type { Command } from '../command.ts';

const rules: readonly Prefer[] = ['A', 'B', 'newest'];

export const mergeCommand: Command = {
  name: 'merge',
  describe: 'Bring what another host wrote since a common position into a running Chroma server',
  isQuery: false,
  lockWaitMs: 30_000,
  positionals: [
    { name: 'a', describe: `Snapshot that the server has: ${snapshotNames}`, isRequired: true },
    { name: 'b', describe: `Snapshot of the other host: ${snapshotNames}`, isRequired: true },
  ],
  options: {
    chroma: { type: 'string', describe: 'URL of the Chroma server that has the records of A' },
    prefer: {
      type: 'string',
      describe: 'Whose record counts if both changed it: A, B or newest (default: write nothing)',
    },
    force: { type: 'boolean', describe: 'Count what the server has as written by A if it has other records' },
    'dry-run': { type: 'boolean', describe: 'Show what would be done and do nothing' },
  },
  run: async ({ agent, flags, signal, style }) => {
    const given = flags.text('prefer');
    const prefer = rules.find((each) => each.toLowerCase() === given?.toLowerCase());
    if (given !== undefined && prefer === undefined)
      throw new SyncAgentError('USAGE', `Cannot prefer ${JSON.stringify(given)}: expected A, B or newest`);
    const result = await agent.merge(flags.text('a') ?? '', flags.text('b') ?? '', {
      chroma: serverNamed(flags, 'merge'),
      prefer,
      force: flags.has('force'),
      dryRun: flags.has('dry-run'),
      signal,
    });
    return {
      result,
      lines: mergeLines(result, style),
      exitCode: result.type === 'refused' ? exitCodes.REFUSED : 0,
    };
  },
};
