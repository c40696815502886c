import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from './run-measured.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Where one tool works in one round. */
export interface Place {
  readonly store: string;
  /** A directory for the tool's own state and cache. */
  readonly home: string;
  readonly endpoint: string;
  readonly bucket: string;
  readonly env: Readonly<Record<string, string>>;
}

export interface Tool {
  readonly name: string;
  readonly version: string;
  /** Run once, unmeasured, before the first backup. */
  prepare?(place: Place): Command;
  backup(place: Place): Command;
  restore(place: Place): Command;
  /** What a new host would not have. */
  localState(place: Place): readonly string[];
}

/** The tools that are installed, sync-agent first. `work` gets a copy of dist/, so that a rebuild changes nothing. */
export function findTools(work: string): {
  readonly tools: readonly Tool[];
  readonly missing: readonly string[];
} {
  const found = [rclone(), aws(), restic()];
  return {
    tools: [syncAgent(work), ...found.filter((tool) => tool !== undefined)],
    missing: ['rclone', 'aws', 'restic'].filter((_, index) => found[index] === undefined),
  };
}

function syncAgent(work: string): Tool {
  const app = join(work, 'app');
  mkdirSync(app);
  cpSync(join(root, 'dist'), join(app, 'dist'), { recursive: true });
  cpSync(join(root, 'package.json'), join(app, 'package.json'));
  symlinkSync(join(root, 'node_modules'), join(app, 'node_modules'));
  const bin = join(app, 'dist', 'bin.js');
  const command = (place: Place, ...args: readonly string[]): Command => ({
    program: process.execPath,
    args: [
      bin,
      ...args,
      '--json',
      '--store',
      place.store,
      '--remote',
      `s3://${place.bucket}/copy`,
      '--s3-endpoint',
      place.endpoint,
    ],
    env: environment(place),
    cwd: place.home,
  });
  return {
    name: 'sync-agent',
    version: execFileSync(process.execPath, [bin, '--version'], { encoding: 'utf8' }).trim(),
    backup: (place) => command(place, 'backup'),
    restore: (place) => command(place, 'restore'),
    localState: ({ store }) => [join(store, '..', '.store.sync-agent')],
  };
}

/** As `backup`, also when nothing changed. */
export function forced(command: Command): Command {
  return { ...command, args: [...command.args, '--force'] };
}

function rclone(): Tool | undefined {
  const program = find('rclone');
  if (program === undefined) return undefined;
  const command = (place: Place, from: string, to: string): Command => ({
    program,
    args: ['sync', from, to],
    env: {
      ...environment(place),
      RCLONE_CONFIG: join(place.home, 'rclone.conf'),
      RCLONE_CONFIG_BENCH_TYPE: 's3',
      RCLONE_CONFIG_BENCH_PROVIDER: 'Ceph',
      RCLONE_CONFIG_BENCH_ENV_AUTH: 'true',
      RCLONE_CONFIG_BENCH_ENDPOINT: place.endpoint,
      RCLONE_S3_NO_CHECK_BUCKET: 'true',
    },
    cwd: place.home,
  });
  return {
    name: 'rclone',
    version: /v([\w.]+)/.exec(execFileSync(program, ['version'], { encoding: 'utf8' }))?.[1] ?? 'unknown',
    backup: (place) => command(place, place.store, `bench:${place.bucket}/copy`),
    restore: (place) => command(place, `bench:${place.bucket}/copy`, place.store),
    localState: () => [],
  };
}

function aws(): Tool | undefined {
  const program = find('aws');
  if (program === undefined) return undefined;
  const command = (place: Place, from: string, to: string): Command => ({
    program,
    args: ['--endpoint-url', place.endpoint, 's3', 'sync', '--delete', '--no-progress', from, to],
    env: {
      ...environment(place),
      AWS_CONFIG_FILE: join(place.home, 'config'),
      AWS_SHARED_CREDENTIALS_FILE: join(place.home, 'credentials'),
      AWS_EC2_METADATA_DISABLED: 'true',
    },
    cwd: place.home,
  });
  return {
    name: 'aws s3 sync',
    version:
      /aws-cli\/([\w.]+)/.exec(execFileSync(program, ['--version'], { encoding: 'utf8' }))?.[1] ?? 'unknown',
    backup: (place) => command(place, place.store, `s3://${place.bucket}/copy`),
    restore: (place) => command(place, `s3://${place.bucket}/copy`, place.store),
    localState: () => [],
  };
}

function restic(): Tool | undefined {
  const fetched = join(root, '.cache', 'restic', 'restic');
  const program = find('restic') ?? (existsSync(fetched) ? fetched : undefined);
  if (program === undefined) return undefined;
  const cache = (place: Place): string => join(place.home, 'cache');
  const command = (place: Place, cwd: string, ...args: readonly string[]): Command => ({
    program,
    args: ['--quiet', ...args],
    env: {
      ...environment(place),
      RESTIC_PASSWORD: 'benchmark',
      RESTIC_REPOSITORY: `s3:${place.endpoint}/${place.bucket}/copy`,
      RESTIC_CACHE_DIR: cache(place),
    },
    cwd,
  });
  return {
    name: 'restic',
    version:
      /restic ([\w.]+)/.exec(execFileSync(program, ['version'], { encoding: 'utf8' }))?.[1] ?? 'unknown',
    prepare: (place) => command(place, place.home, 'init'),
    backup: (place) => command(place, place.store, 'backup', '--host', 'bench', '.'),
    restore: (place) => command(place, place.home, 'restore', 'latest', '--target', place.store),
    localState: (place) => [cache(place)],
  };
}

/** Only what a tool needs: no proxies, no certificates, no settings of whoever runs this. */
function environment({ home, env }: Place): Record<string, string> {
  return { PATH: process.env['PATH'] ?? '', HOME: home, LANG: 'C.UTF-8', ...env };
}

/** A program in PATH; not a version manager's shell script that starts the program. */
function find(name: string): string | undefined {
  return (process.env['PATH'] ?? '')
    .split(delimiter)
    .filter((dir) => dir !== '' && !dir.endsWith('/shims'))
    .map((dir) => join(dir, name))
    .find((path) => existsSync(path));
}
