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
  /** Does nothing once the command has exited; never reaches another process that got its pid. */
  signal(name: NodeJS.Signals): void;
  /** What the command started and may leave behind. */
  readonly tree: Pick<ProcessTree, 'living' | 'signal' | 'adopt'>;
}

/** One of the two is null. */
export interface CommandExit {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface StartOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
}

/**
 * Starts a program without a shell, on this process's stdin, stdout and stderr. It stays in this session and process
 * group, so that an interactive program keeps its terminal: `detached` would be `setsid`, and Node has no `setpgid`.
 * Rejects with NOT_FOUND or DENIED if it cannot be started. It does not outlive this process, unless that is killed.
 */
export async function startCommand(argv: readonly string[], options: StartOptions): Promise<RunningCommand> {
  const [program = '', ...args] = argv;
  const runId = randomUUID();
  // One supervised command may supervise another: each finds its own processes.
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
  // A signal that cannot be delivered is of no interest: the command has exited, or changed its user.
  child.on('error', () => undefined);
  return { pid, exited, signal: (name) => void child.kill(name), tree };
}

function spawnChild(program: string, args: readonly string[], { env, cwd }: StartOptions) {
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
          'Write the command as the shell would find it, after "--"; a shell builtin or pipe needs sh -c',
        cause: error,
      });
    case 'EACCES':
      return new SyncAgentError('DENIED', `${action}: it is not a program that this user may run`, {
        cause: error,
      });
    default:
      return fromFileSystem(error, action);
  }
}

/** What a shell exits with when a command cannot be started. */
export function exitCodeOfStart(error: unknown): number {
  return isSyncAgentError(error, 'NOT_FOUND') ? 127 : 126;
}

/** What a shell exits with after a command. */
export function exitCodeOfCommand({ exitCode, signal }: CommandExit): number {
  return exitCode ?? exitCodeOfSignal(signal);
}

export function exitCodeOfSignal(signal: NodeJS.Signals | null): number {
  return 128 + (signal === null ? 0 : constants.signals[signal]);
}
