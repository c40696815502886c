import { SyncAgentError } from '../../../platform/errors.ts';
import { durationForm, readDuration } from '../../../settings/kind.ts';
import { operationLines } from '../../text/operation-lines.ts';
import type { Command } from '../command.ts';

export const logCommand: Command = {
  name: 'log',
  describe: 'Show who did what to the store and the remote from this host',
  isQuery: true,
  options: {
    since: {
      type: 'string',
      describe: 'Only what was not over then: a duration before now, such as 2d, or a time (ISO 8601)',
    },
  },
  needsRemote: () => false,
  run: async ({ agent, flags, signal, style }) => {
    const sinceMs = timeOf(flags.text('since'), Date.now());
    const operations = await agent.operationLog({ ...(sinceMs === undefined ? {} : { sinceMs }), signal });
    return { result: { operations }, lines: operationLines(operations, style) };
  },
};

export function timeOf(text: string | undefined, nowMs: number): number | undefined {
  if (text === undefined) return undefined;
  const ms = readDuration(text);
  const atMs =
    ms === undefined ? (/^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN) : nowMs - ms;
  if (!Number.isNaN(atMs)) return atMs;
  throw new SyncAgentError(
    'USAGE',
    `Cannot use --since = ${JSON.stringify(text)}: expected ${durationForm}, or a time such as 2026-11-21T08:00Z`,
  );
}
