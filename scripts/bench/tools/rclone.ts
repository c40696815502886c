import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { Command } from '../measure/run-measured.ts';
import { environment, findProgram } from './tool.ts';
import type { Place, Target, Tool } from './tool.ts';

export function rclone(): Tool | undefined {
  const program = findProgram('rclone');
  if (program === undefined) return undefined;
  const command = (place: Place, from: string, to: string): Command => ({
    program,
    args: ['sync', from, to],
    env: {
      ...environment(place),
      RCLONE_CONFIG: join(place.home, 'rclone.conf'),
      ...(place.target.type === 'directory'
        ? {}
        : {
            RCLONE_CONFIG_BENCH_TYPE: 's3',
            RCLONE_CONFIG_BENCH_PROVIDER: 'Ceph',
            RCLONE_CONFIG_BENCH_ENV_AUTH: 'true',
            RCLONE_CONFIG_BENCH_ENDPOINT: place.target.endpoint,
            RCLONE_S3_NO_CHECK_BUCKET: 'true',
          }),
    },
    cwd: place.home,
  });
  return {
    name: 'rclone',
    version: /v([\w.]+)/.exec(execFileSync(program, ['version'], { encoding: 'utf8' }))?.[1] ?? 'unknown',
    targets: ['s3', 'directory'],
    backup: (place) => command(place, place.store, remote(place.target)),
    restore: (place) => command(place, remote(place.target), place.store),
    localState: () => [],
  };
}

const remote = (target: Target): string =>
  target.type === 's3' ? `bench:${target.bucket}/copy` : target.path;
