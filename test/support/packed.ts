import { execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, symlinkSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildCli } from './built-cli.ts';

const repositoryModules = fileURLToPath(new URL('../../node_modules', import.meta.url));

/**
 * A directory in which a program finds what `npm install sync-agent` and others would have brought: the package as
 * npm packs it, from the present sources, and links to what is installed here. No registry is asked.
 */
export function installPacked(app: string, others: readonly string[] = []): void {
  const built = dirname(dirname(buildCli()));
  const packed = mkdtempSync(join(app, '.packed-'));
  const npm = ['pack', built, '--ignore-scripts', '--offline', '--json', '--pack-destination', packed];
  const [{ filename }] = JSON.parse(execFileSync('npm', npm, { encoding: 'utf8' })) as [
    { readonly filename: string },
  ];
  execFileSync('tar', ['-xzf', join(packed, basename(filename)), '-C', packed]);
  const target = join(app, 'node_modules/sync-agent');
  mkdirSync(join(app, 'node_modules'));
  cpSync(join(packed, 'package'), target, { recursive: true });
  symlinkSync(repositoryModules, join(target, 'node_modules'));
  for (const name of others) {
    mkdirSync(dirname(join(app, 'node_modules', name)), { recursive: true });
    symlinkSync(join(repositoryModules, name), join(app, 'node_modules', name));
  }
}

export interface Ended {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program until it ends by itself, with an environment that holds no settings of this process. */
export async function runProgram(file: string, args: readonly string[] = []): Promise<Ended> {
  const child = spawn(process.execPath, [file, ...args], {
    cwd: dirname(file),
    env: foreignEnvironment(),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
  const [exitCode] = (await once(child, 'close')) as [number | null];
  return { exitCode, ...output };
}

export function foreignEnvironment(): Record<string, string | undefined> {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(SYNC_AGENT_|AWS_|NODE_OPTIONS|VITEST|npm_)/i.test(name),
  );
  return { ...Object.fromEntries(inherited), TMPDIR: tmpdir() };
}
