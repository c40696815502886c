import { execFile } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { delimiter, dirname, isAbsolute, join } from 'node:path';
import { SyncAgentError, throwIfAborted } from '../../../platform/errors.ts';
import type { FoundServer, TrialOptions } from '../../drilling.ts';
import { serverEnvironment } from './server-environment.ts';

export interface SearchPlaces {
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
}

/** A program of Python takes seconds to load on a slow machine. */
const probeMs = 60_000;

/**
 * A command that a person gave, or `chroma` in `node_modules/.bin` of this directory and those above it, or in PATH. One that
 * is there and cannot be run, because the system's libraries are too old for it, is none.
 */
export async function findServer(
  command: string | undefined,
  options: TrialOptions,
  { cwd, env }: SearchPlaces = { cwd: process.cwd(), env: process.env },
): Promise<FoundServer> {
  if (command === 'off') return { type: 'none', why: 'it is turned off' };
  if (command !== undefined)
    return { type: 'found', server: { argv: shellCommand(command), name: nameOf(command), cwd } };
  const complaints: string[] = [];
  for (const program of candidates(cwd, env)) {
    if (!(await isExecutable(program))) continue;
    const complaint = await probe(program, env, options);
    throwIfAborted(options.signal, 'Looking for a Chroma server');
    if (complaint === undefined) {
      const argv = [program, 'run', '--path', '{dir}', '--host', '127.0.0.1', '--port', '{port}'];
      return { type: 'found', server: { argv, name: program, cwd: undefined } };
    }
    complaints.push(`"${program}" cannot be run: ${complaint}`);
  }
  const nowhere = 'there is no "chroma" in node_modules/.bin or in PATH';
  return { type: 'none', why: complaints.length === 0 ? nowhere : complaints.join('; ') };
}

/** A command may hold a credential: only its program is shown. */
function nameOf(command: string): string {
  const [program = ''] = command.trim().split(/\s+/);
  return /^[\w@%+:,./-]+$/.test(program) ? program : 'the given command';
}

/** The shell gets paths as its arguments: no blank or quote in them matters. */
function shellCommand(command: string): readonly string[] {
  const missing = ['{dir}', '{port}'].filter((each) => !command.includes(each));
  if (missing.length > 0) {
    throw new SyncAgentError(
      'USAGE',
      `Cannot start a server with the command that was given: it lacks ${missing.join(' and ')}`,
      {
        remedy:
          'Write it as chroma run --path {dir} --host 127.0.0.1 --port {port}, without quotes around {dir}, or "off" for none',
      },
    );
  }
  const script = command.replaceAll('{dir}', '"$1"').replaceAll('{port}', '"$2"');
  return ['sh', '-c', script, 'sh', '{dir}', '{port}'];
}

function candidates(cwd: string, env: NodeJS.ProcessEnv): readonly string[] {
  const found: string[] = [];
  for (let dir = cwd; ; dir = dirname(dir)) {
    found.push(join(dir, 'node_modules', '.bin', 'chroma'));
    if (dirname(dir) === dir) break;
  }
  const path = (env['PATH'] ?? '').split(delimiter).filter(isAbsolute);
  return [...new Set([...found, ...path.map((dir) => join(dir, 'chroma'))])];
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/** Why a program cannot be run at all; undefined if it can. */
async function probe(
  program: string,
  env: NodeJS.ProcessEnv,
  { scratch, signal }: TrialOptions,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const options = { cwd: scratch, env: serverEnvironment(env, scratch), timeout: probeMs, signal };
    execFile(program, ['run', '--help'], options, (error, _, stderr) => {
      if (error === null) return resolve(undefined);
      const said = stderr.split('\n').find((line) => /error/i.test(line)) ?? error.message;
      resolve(said.trim().slice(0, 300));
    });
  });
}
