import { exitCodes } from '../../../platform/errors.ts';
import type { CheckReport } from '../../../engine/reading/check-store.ts';
import { checkLines } from '../../text/check-lines.ts';
import { sourceNamed, sourceNames } from '../../source-argument.ts';
import type { Command } from '../command.ts';

export const checkCommand: Command = {
  name: 'check',
  describe: 'Check whether a store, any directory or a snapshot is sound',
  isQuery: true,
  positionals: [{ name: 'source', describe: sourceNames, isRequired: false }],
  options: {
    chroma: { type: 'string', describe: 'URL of the running Chroma server, to ask it too' },
    tenant: {
      type: 'string',
      isList: true,
      describe: 'Tenant whose databases the server is asked for; may be repeated [default: default_tenant]',
    },
  },
  needsRemote: (flags) => sourceNamed(flags.text('source')).snapshot !== undefined,
  run: async ({ agent, flags, signal, style }) => {
    const url = flags.text('chroma');
    const tenants = flags.list('tenant');
    const server = url === undefined ? {} : { server: { url, ...(tenants.length === 0 ? {} : { tenants }) } };
    const result = await agent.check({ ...sourceNamed(flags.text('source')), ...server, signal });
    return { result, lines: checkLines(result, style), exitCode: exitCodeOf(result) };
  },
};

function exitCodeOf({ isSound, damage, server }: CheckReport): number {
  if (isSound) return 0;
  return damage.length === 0 && server?.isReachable === false && server.heartbeatMs === null
    ? exitCodes.REMOTE_UNREACHABLE
    : exitCodes.STORE_CORRUPT;
}
