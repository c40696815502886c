import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from '../measure/run-measured.ts';
import { environment, findProgram, repository } from './tool.ts';
import type { Place, Target, Tool } from './tool.ts';

/** The one of scripts/fetch-restic.sh will do. */
export function restic(): Tool | undefined {
  const fetched = join(repository, '.cache', 'restic', 'restic');
  const program = findProgram('restic') ?? (existsSync(fetched) ? fetched : undefined);
  if (program === undefined) return undefined;
  const cache = (place: Place): string => join(place.home, 'cache');
  const command = (place: Place, cwd: string, ...args: readonly string[]): Command => ({
    program,
    args: ['--quiet', ...args],
    env: {
      ...environment(place),
      RESTIC_PASSWORD: 'benchmark',
      RESTIC_REPOSITORY: remote(place.target),
      RESTIC_CACHE_DIR: cache(place),
    },
    cwd,
  });
  return {
    name: 'restic',
    version:
      /restic ([\w.]+)/.exec(execFileSync(program, ['version'], { encoding: 'utf8' }))?.[1] ?? 'unknown',
    targets: ['s3', 'directory'],
    prepare: (place) => command(place, place.home, 'init'),
    backup: (place) => command(place, place.store, 'backup', '--host', 'bench', '.'),
    restore: (place) => command(place, place.home, 'restore', 'latest', '--target', place.store),
    localState: (place) => [cache(place)],
  };
}

const remote = (target: Target): string =>
  target.type === 's3' ? `s3:${target.endpoint}/${target.bucket}/copy` : target.path;
