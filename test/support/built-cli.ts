import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const repository = fileURLToPath(new URL('../..', import.meta.url));
let built: string | undefined;

/** Names the command line that was built for all files of a run. */
export const builtVariable = 'SYNC_AGENT_TEST_BUILT';

/**
 * The command line as it is published: compiled from the present sources into a package of its own, once per run or,
 * while tests are watched, per file. Starts in a third of the time that running the sources takes, which counts for
 * hundreds of processes.
 */
export function buildCli(): string {
  built ??= process.env[builtVariable];
  if (built === undefined) {
    const { bin, remove } = buildPackage();
    process.once('exit', remove);
    built = bin;
  }
  return built;
}

export function buildPackage(): { readonly bin: string; readonly remove: () => void } {
  const directory = mkdtempSync(join(tmpdir(), 'sync-agent-built-'));
  execFileSync(process.execPath, [join(repository, 'scripts/build.mjs'), join(directory, 'dist')]);
  cpSync(join(repository, 'package.json'), join(directory, 'package.json'));
  symlinkSync(join(repository, 'node_modules'), join(directory, 'node_modules'));
  return {
    bin: join(directory, 'dist/bin.js'),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** A module of the built package. */
export function builtUrl(path: string): string {
  return new URL(path, pathToFileURL(buildCli())).href;
}

export async function importBuilt<T>(path: string): Promise<T> {
  return (await import(builtUrl(path))) as T;
}

export interface Run {
  readonly child: ChildProcess;
  readonly done: Promise<{
    readonly exitCode: number | null;
    readonly stdout: string;
    readonly stderr: string;
  }>;
}

/** Starts `sync-agent` with an environment that holds nothing of this process's own settings. */
export function startBuiltCli(args: readonly string[], env: Readonly<Record<string, string>> = {}): Run {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(SYNC_AGENT_|AWS_|NODE_OPTIONS|VITEST)/.test(name),
  );
  const child = spawn(process.execPath, [buildCli(), ...args], {
    cwd: tmpdir(),
    env: { ...Object.fromEntries(inherited), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
  return {
    child,
    done: once(child, 'close').then(([exitCode]) => ({ exitCode: exitCode as number | null, ...output })),
  };
}
