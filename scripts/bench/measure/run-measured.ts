import { spawn } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';

export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  /** The whole environment: nothing of ours leaks in. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
}

export interface Measured {
  readonly wallMs: number;
  /** User and system time of the process and all it waited for. */
  readonly cpuMs: number;
  /** Peak resident memory of the largest process. */
  readonly peakBytes: number;
  readonly stdout: string;
}

const gnuTime = '/usr/bin/time';

/** Runs a program to its end under GNU time; rejects with what it said when it fails. `scratch` is a file name to use. */
export async function runMeasured(command: Command, scratch: string): Promise<Measured> {
  const { program, args, env, cwd } = command;
  const started = performance.now();
  const child = spawn(gnuTime, ['--quiet', '-f', '%U %S %M', '-o', scratch, program, ...args], {
    cwd,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  let wallMs = 0;
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    child.once('error', (cause) => {
      reject(new Error(`Cannot start ${gnuTime}: install the package "time"`, { cause }));
    });
    child.once('exit', () => (wallMs = performance.now() - started));
    child.once('close', resolve);
  });
  if (exitCode !== 0) {
    throw new Error(
      `Cannot measure "${program} ${args.join(' ')}": exit code ${exitCode}: ${stderr.slice(-2000)}${stdout.slice(-500)}`,
    );
  }
  const [user = 0, system = 0, peak = 0] = readFileSync(scratch, 'utf8').trim().split(' ').map(Number);
  rmSync(scratch);
  return { wallMs, cpuMs: (user + system) * 1000, peakBytes: peak * 1024, stdout };
}
