import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Channel } from './channel.ts';
import type { Figures } from './figures.ts';

const bin = fileURLToPath(new URL('../../dist/bin.js', import.meta.url));

export interface Ended {
  /** Null: killed. */
  readonly exitCode: number | null;
  readonly result: Readonly<Record<string, unknown>>;
  /** All that it said, for a finding. */
  readonly said: string;
}

export interface Runner {
  readonly figures: Figures;
  readonly env: Readonly<Record<string, string>>;
  readonly random: () => number;
}

export interface RunOptions {
  readonly channel: Channel;
  readonly store: string;
  readonly host: string;
  readonly remote: string;
  /** SIGKILL at a random moment of its usual duration. */
  readonly isKilled?: boolean;
  /** Without faults: it must succeed. */
  readonly isCalm?: boolean;
}

/** Runs the built command line once and counts how it ended. */
export async function runCommand(
  { figures, env, random }: Runner,
  args: readonly string[],
  { channel, store, host, remote, isKilled = false, isCalm = false }: RunOptions,
): Promise<Ended> {
  await channel.setRough(!isCalm);
  const name = args.includes('--to') ? `${args[0]} --to` : (args[0] ?? '');
  const settings = ['--store', store, '--remote', remote, '--host', host, '--s3-endpoint', channel.endpoint];
  const started = performance.now();
  const child = spawn(process.execPath, [bin, ...args, '--json', ...settings], {
    cwd: '/',
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '/', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
  const killAfterMs = random() * 1.1 * (figures.median(name) ?? 1500);
  const killer = isKilled ? setTimeout(() => child.kill('SIGKILL'), killAfterMs) : undefined;
  const [exitCode] = (await once(child, 'close')) as [number | null];
  clearTimeout(killer);

  if (exitCode === null) figures.count('SIGKILL', name);
  else if (isKilled) figures.count('SIGKILL that came too late', name);
  if (exitCode === 0) figures.time(name, performance.now() - started);
  if (exitCode !== null) figures.count(name, exitCode === 0 ? 'done' : `exit ${exitCode}`);
  const said = [
    `sync-agent ${args.join(' ')} (${host}): exit ${exitCode}`,
    output.stdout.slice(0, 3000),
    output.stderr.slice(-2000),
  ].join('\n');
  return { exitCode, result: parse(output.stdout), said };
}

/** Exit codes that faults of the network explain: out of reach; and an upload that took too long of the grace period. */
export const isExcused = (exitCode: number | null): boolean => exitCode === 6 || exitCode === 8;

function parse(text: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(text) as Readonly<Record<string, unknown>>;
  } catch {
    return {};
  }
}
