import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { constants } from 'node:os';
import { SyncAgentError, errnoOf, fromFileSystem, isSyncAgentError } from '../platform/errors.ts';
import { processTree, runIdVariable } from './process-tree.ts';
import type { ProcessTree } from './process-tree.ts';

export interface RunningCommand {
  readonly pid: number;
  /** Never rejects. */
  readonly exited: Promise<CommandExit>;
  /** Does nothing after the command has exited: a later process with the same pid gets no signal. */
  signal(name: NodeJS.Signals): void;
  /** The processes that the command started and may leave behind. */
  readonly tree: Pick<ProcessTree, 'living' | 'signal' | 'adopt'>;
}

/** One of the two is null. */
export interface CommandExit {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface CommandEnvironment {
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
}

/**
 * Starts a program without a shell. It inherits stdin, stdout and stderr, and stays in this session and process group, so that
 * an interactive program keeps its terminal. (`detached` would call `setsid`, and Node has no `setpgid`.)
 * Rejects with NOT_FOUND or DENIED if the program cannot be started. If this process ends, it ends the program too, unless
 * this process is killed by SIGKILL.
 */
export async function startCommand(
  argv: readonly string[],
  options: CommandEnvironment,
): Promise<RunningCommand> {
  const [program = '', ...args] = argv;
  const runId = randomUUID();
  // A supervised command may itself be `sync-agent run`. Each one must find its own processes.
  const runIds = [options.env[runIdVariable], runId].filter(Boolean).join(':');
  const child = spawnChild(program, args, { ...options, env: { ...options.env, [runIdVariable]: runIds } });
  const exited = new Promise<CommandExit>((resolve) => {
    child.once('exit', (exitCode, signal) => resolve({ exitCode, signal }));
  });
  try {
    await once(child, 'spawn');
  } catch (error) {
    throw startError(error, program);
  }
  const pid = child.pid ?? 0;
  const tree = processTree({ pid, runId });
  // If a defect ends this process, a service manager starts a new one. The old command must not go on writing beside it.
  const endIt = (): void => {
    // A shell whose child ends first would go on with its next line.
    const others = tree.living();
    child.kill('SIGTERM');
    tree.signal('SIGTERM', others);
  };
  process.once('exit', endIt);
  // A signal cannot be delivered if the command has exited or has changed its user. That is no failure.
  child.on('error', () => undefined);
  return { pid, exited, signal: (name) => void child.kill(name), tree };
}

function spawnChild(program: string, args: readonly string[], { env, cwd }: CommandEnvironment) {
  try {
    return spawn(program, args, { env, cwd, stdio: 'inherit', shell: false });
  } catch (error) {
    throw startError(error, program);
  }
}

function startError(error: unknown, program: string): SyncAgentError {
  const action = `Cannot start "${program}"`;
  switch (errnoOf(error)) {
    case 'ENOENT':
      return new SyncAgentError('NOT_FOUND', `${action}: there is no such program`, {
        remedy:
          'After "--", write the command with a name that the shell would find; a shell builtin or a pipe needs sh -c',
        cause: error,
      });
    case 'EACCES':
      return new SyncAgentError('DENIED', `${action}: this user may not run it`, {
        cause: error,
      });
    default:
      return fromFileSystem(error, action);
  }
}

/** The exit code of a shell that cannot start a command. */
export function exitCodeOfStart(error: unknown): number {
  return isSyncAgentError(error, 'NOT_FOUND') ? 127 : 126;
}

/** The exit code of a shell after a command. */
export function exitCodeOfCommand({ exitCode, signal }: CommandExit): number {
  return exitCode ?? exitCodeOfSignal(signal);
}

export function exitCodeOfSignal(signal: NodeJS.Signals | null): number {
  return 128 + (signal === null ? 0 : constants.signals[signal]);
}
