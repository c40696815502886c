import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Command } from '../measure/run-measured.ts';
import { environment, repository } from './tool.ts';
import type { Place, Target, Tool } from './tool.ts';

export function syncAgent(work: string): Tool {
  const app = join(work, 'app');
  mkdirSync(app);
  for (const name of ['dist', 'package.json'])
    cpSync(join(repository, name), join(app, name), { recursive: true });
  symlinkSync(join(repository, 'node_modules'), join(app, 'node_modules'));
  const bin = join(app, 'dist', 'bin.js');
  const command = (place: Place, name: string): Command => ({
    program: process.execPath,
    args: [bin, name, '--json', '--store', place.store, ...remote(place.target)],
    env: environment(place),
    cwd: place.home,
  });
  return {
    name: 'sync-agent',
    version: execFileSync(process.execPath, [bin, '--version'], { encoding: 'utf8' }).trim(),
    targets: ['s3', 'directory'],
    backup: (place) => command(place, 'backup'),
    restore: (place) => command(place, 'restore'),
    localState: ({ store }) => [join(store, '..', '.store.sync-agent')],
  };
}

/** As `backup`, also when nothing changed. */
export function forced(command: Command): Command {
  return { ...command, args: [...command.args, '--force'] };
}

function remote(target: Target): readonly string[] {
  return target.type === 's3'
    ? ['--remote', `s3://${target.bucket}/copy`, '--s3-endpoint', target.endpoint]
    : ['--remote', pathToFileURL(target.path).href];
}
