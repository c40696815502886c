import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { Command } from '../measure/run-measured.ts';
import { environment, findProgram } from './tool.ts';
import type { Place, Tool } from './tool.ts';

export function aws(): Tool | undefined {
  const program = findProgram('aws');
  if (program === undefined) return undefined;
  const command = (place: Place, direction: 'up' | 'down'): Command => {
    if (place.target.type !== 's3') throw new Error('Cannot run aws s3 sync without an S3 server');
    const ends = [place.store, `s3://${place.target.bucket}/copy`];
    if (direction === 'down') ends.reverse();
    return {
      program,
      args: ['--endpoint-url', place.target.endpoint, 's3', 'sync', '--delete', '--no-progress', ...ends],
      env: {
        ...environment(place),
        AWS_CONFIG_FILE: join(place.home, 'config'),
        AWS_SHARED_CREDENTIALS_FILE: join(place.home, 'credentials'),
        AWS_EC2_METADATA_DISABLED: 'true',
      },
      cwd: place.home,
    };
  };
  return {
    name: 'aws s3 sync',
    version:
      /aws-cli\/([\w.]+)/.exec(execFileSync(program, ['--version'], { encoding: 'utf8' }))?.[1] ?? 'unknown',
    targets: ['s3'],
    backup: (place) => command(place, 'up'),
    restore: (place) => command(place, 'down'),
    localState: () => [],
  };
}
