import type { ProtectOptions } from '../../../api/protecting.ts';
import { withinVariable } from '../../../in-process/logged-access.ts';
import { createProtector } from '../../../library/protecting/create-protector.ts';
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
import { defaultOf } from '../../../settings/settings.ts';
import { agentSettings } from '../../../settings/use-config.ts';
import type { Invocation, Outcome } from '../command.ts';
import { CommandFailed } from './command-failed.ts';
import { passSignals } from './pass-signals.ts';

export interface ProtectedCommand {
  readonly name: string;
  readonly argv: readonly string[];
  readonly options: ProtectOptions;
}

/** The command's exit code is the result, as under `run`; if it is 0, a damaged store is an error. */
export async function runProtected(
  { agent, config, emit, say, style, commandLine }: Invocation,
  { name, argv, options }: ProtectedCommand,
): Promise<Outcome> {
  // The reader of stderr may go away before the command ends.
  process.stderr.on('error', () => undefined);
  let command: RunningCommand | undefined;
  let exitCode = 0;
  /** From before the command. */
  const made: { snapshot: string | null } = { snapshot: null };
  const passing = passSignals({ command: () => command, say });
  const protect = createProtector(agentSettings(config), {
    calls: agent,
    clock: systemClock,
    emit,
    intervalMs: config.interval ?? defaultOf('interval'),
    program: 'sync-agent protect',
  });
  const [program = ''] = argv;
  try {
    await protect(
      name,
      async ({ operations, snapshot }) => {
        made.snapshot = snapshot;
        const env = { ...process.env, [withinVariable]: operations.join(':') };
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
      },
      { ...options, signal: passing.signal },
    );
    return { result: null, lines: [] };
  } catch (error) {
    const { first } = passing;
    if (command === undefined && exitCode === 0 && first() !== undefined)
      exitCode = exitCodeOfSignal(first() ?? null);
    if (exitCode === 0) throw error;
    if (error instanceof SyncAgentError) for (const line of errorLines(error, style)) say(line);
    else if (made.snapshot !== null && options.onFailure !== 'restore')
      say(
        `"${name}" failed, and the store stays as it is. To go back to the snapshot before it: ${commandLine(`restore --snapshot ${made.snapshot}`)}`,
      );
    return { result: null, lines: [], exitCode };
  } finally {
    passing.release();
  }
}
