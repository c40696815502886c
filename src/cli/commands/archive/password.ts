import { readFile } from 'node:fs/promises';
import { fromFileSystem } from '../../../platform/errors.ts';
import { archivePasswordVariable } from '../../../settings/environment.ts';
import type { GivenFlags } from '../../flags.ts';

/** From the file, or the variable: every user of a host can read its command lines. Undefined if there is none. */
export async function passwordOf(flags: GivenFlags): Promise<string | undefined> {
  const path = flags.text('password-file');
  if (path === undefined) return process.env[archivePasswordVariable] || undefined;
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw fromFileSystem(error, `Cannot read the password file "${path}"`);
  });
  return text.replace(/\r?\n$/, '');
}
