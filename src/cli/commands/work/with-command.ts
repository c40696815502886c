import { SyncAgentError } from '../../../platform/errors.ts';
import { errorLines } from '../../../report/error.ts';
import {
  exitCodeOfCommand,
  exitCodeOfSignal,
  exitCodeOfStart,
  startCommand,
} from '../../../run/command-process.ts';
import type { RunningCommand } from '../../../run/command-process.ts';
import type { Invocation, Outcome } from '../command.ts';
import { passSignals } from './pass-signals.ts';

/** It has said why itself. */
class CommandFailed extends Error {
  override readonly name = 'CommandFailed';

  constructor(program: string, exitCode: number) {
    super(`"${program}" ended with exit code ${exitCode}`);
  }
}

/** A command of the user's, to be run in the middle of what this process does. */
export interface GivenCommand {
  /** Aborts if a signal asks to stop before the command has started. */
  readonly signal: AbortSignal;
  /** Runs it to its end with these variables added. Rejects if it cannot be started, and if its exit code is not 0. */
  readonly run: (variables: Readonly<Record<string, string>>) => Promise<void>;
}

export interface CommandWork {
  readonly work: (command: GivenCommand) => Promise<void>;
  /** What is said of the store if the command failed. */
  readonly whenFailed: (exitCode: number) => string | undefined;
}

/** The command's exit code is the result, as under `run`; if it is 0, an error of the work is one. stdout belongs to the command. */
export async function withCommand(
  { say, style }: Pick<Invocation, 'say' | 'style'>,
  argv: readonly string[],
  { work, whenFailed }: CommandWork,
): Promise<Outcome> {
  // The reader of stderr may go away before the command ends.
  process.stderr.on('error', () => undefined);
  let command: RunningCommand | undefined;
  let exitCode = 0;
  const passing = passSignals({ command: () => command, say });
  const run = async (variables: Readonly<Record<string, string>>): Promise<void> => {
    try {
      command = await startCommand(argv, { env: { ...process.env, ...variables }, cwd: process.cwd() });
    } catch (error) {
      exitCode = exitCodeOfStart(error);
      throw error;
    }
    const exit = await command.exited;
    passing.ended();
    exitCode = exitCodeOfCommand(exit);
    if (exitCode !== 0) throw new CommandFailed(argv[0] ?? '', exitCode);
  };
  try {
    await work({ signal: passing.signal, run });
    return { result: null, lines: [] };
  } catch (error) {
    const asked = passing.first();
    if (command === undefined && exitCode === 0 && asked !== undefined) exitCode = exitCodeOfSignal(asked);
    if (exitCode === 0) throw error;
    const failed = whenFailed(exitCode);
    if (error instanceof SyncAgentError) for (const line of errorLines(error, style)) say(line);
    else if (failed !== undefined) say(failed);
    return { result: null, lines: [], exitCode };
  } finally {
    passing.release();
  }
}
