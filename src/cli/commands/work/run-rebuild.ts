import type { RebuildWait } from '../../../api/sync-agent.ts';
import type { RebuildOptions } from '../../../engine/rebuild/place-build.ts';
import { createRebuilder } from '../../../library/rebuilding/create-rebuilder.ts';
import { systemClock } from '../../../platform/clock.ts';
import { buildDirVariable } from '../../../settings/environment.ts';
import { agentSettings } from '../../../settings/use-config.ts';
import { rebuiltLines } from '../../text/rebuild-lines.ts';
import type { Invocation, Outcome } from '../command.ts';
import { withCommand } from './with-command.ts';

/** If the command succeeds, the new store is put in the place of the old one. */
export async function runRebuild(
  invocation: Invocation,
  argv: readonly string[],
  options: RebuildOptions & RebuildWait,
): Promise<Outcome> {
  const { agent, config, emit, say, style, commandLine } = invocation;
  const rebuild = createRebuilder(agentSettings(config), {
    calls: agent,
    clock: systemClock,
    emit,
    program: 'sync-agent rebuild',
  });
  const [program = ''] = argv;
  return withCommand(invocation, argv, {
    work: async ({ signal, run }) => {
      const build = (dir: string): Promise<void> => run({ [buildDirVariable]: dir });
      const result = await rebuild(build, { ...options, signal });
      if (config.quiet !== true) for (const line of rebuiltLines(result, { style, commandLine })) say(line);
    },
    whenFailed: (exitCode) =>
      `"${program}" ended with exit code ${exitCode}: what it built is removed, and the store is as it was`,
  });
}
