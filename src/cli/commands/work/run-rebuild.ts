import type { RebuildWait } from '../../../api/sync-agent.ts';
import type { RebuildOptions } from '../../../engine/rebuild/place-build.ts';
import { createRebuilder } from '../../../library/rebuilding/create-rebuilder.ts';
import { systemClock } from '../../../platform/clock.ts';
import { SyncAgentError } from '../../../platform/errors.ts';
import { errorLines } from '../../../report/error.ts';
import {
  exitCodeOfCommand,
  exitCodeOfSignal,
  exitCodeOfStart,
  startCommand,
} from '../../../run/command-process.ts';
import type { RunningCommand } from '../../../run/command-process.ts';
import { buildDirVariable } from '../../../settings/environment.ts';
import { agentSettings } from '../../../settings/use-config.ts';
import { rebuiltLines } from '../../text/rebuild-lines.ts';
import type { Invocation, Outcome } from '../command.ts';
import { CommandFailed } from './command-failed.ts';
import { passSignals } from './pass-signals.ts';

/** The command's exit code is the result, as under `run`, unless it is 0. Then the new store is put in the place of the old one. */
export async function runRebuild(
  { agent, config, emit, say, style, commandLine }: Invocation,
  argv: readonly string[],
  options: RebuildOptions & RebuildWait,
): Promise<Outcome> {
  // The reader of stderr may go away before the command ends.
  process.stderr.on('error', () => undefined);
  let command: RunningCommand | undefined;
  let exitCode = 0;
  const passing = passSignals({ command: () => command, say });
  const rebuild = createRebuilder(agentSettings(config), {
    calls: agent,
    clock: systemClock,
    emit,
    program: 'sync-agent rebuild',
  });
  const [program = ''] = argv;
  const build = async (dir: string): Promise<void> => {
    const env = { ...process.env, [buildDirVariable]: dir };
    try {
      command = await startCommand(argv, { env, cwd: process.cwd() });
    } catch (error) {
      exitCode = exitCodeOfStart(error);
      throw error;
    }
    const exit = await command.exited;
    passing.ended();
    exitCode = exitCodeOfCommand(exit);
    if (exitCode !== 0) throw new CommandFailed(program, exitCode);
  };
  try {
    const result = await rebuild(build, { ...options, signal: passing.signal });
    // stdout belongs to the command.
    if (config.quiet !== true) for (const line of rebuiltLines(result, { style, commandLine })) say(line);
    return { result: null, lines: [] };
  } catch (error) {
    const asked = passing.first();
    if (command === undefined && exitCode === 0 && asked !== undefined) exitCode = exitCodeOfSignal(asked);
    if (exitCode === 0) throw error;
    if (error instanceof SyncAgentError) for (const line of errorLines(error, style)) say(line);
    else
      say(
        `"${program}" ended with exit code ${exitCode}: what it built is removed, and the store is as it was`,
      );
    return { result: null, lines: [], exitCode };
  } finally {
    passing.release();
  }
}
