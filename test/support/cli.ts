import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { buildCli } from './built-cli.ts';

export interface CliOptions {
  readonly cwd: string;
  /** On top of this process's environment, from which the agent's own settings are removed. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface CliResult {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunningCli {
  readonly child: ChildProcess;
  /** Resolves once stderr or stdout matches; rejects when the program ends before. */
  saw(pattern: RegExp): Promise<void>;
  readonly done: Promise<CliResult>;
}

/** Starts the real command line, as it is published. */
export function startCli(args: readonly string[], { cwd, env = {} }: CliOptions): RunningCli {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(SYNC_AGENT_|AWS_|NO_COLOR|NODE_OPTIONS)/.test(name),
  );
  const child = spawn(process.execPath, [buildCli(), ...args], {
    cwd,
    env: { ...Object.fromEntries(inherited), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
  const done = once(child, 'close').then(([exitCode]) => ({
    exitCode: exitCode as number | null,
    ...output,
  }));
  const saw = async (pattern: RegExp): Promise<void> => {
    let isOver = false;
    void done.then(() => (isOver = true));
    while (!pattern.test(output.stdout + output.stderr)) {
      if (isOver)
        throw new Error(`The program ended without ${String(pattern)}: ${output.stdout}${output.stderr}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  return { child, saw, done };
}

export function runCli(args: readonly string[], options: CliOptions): Promise<CliResult> {
  return startCli(args, options).done;
}
