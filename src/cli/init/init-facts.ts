import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { configFileName } from '../../settings/config-file.ts';
import { SyncAgentError, errnoOf, fromFileSystem, messageOf } from '../../platform/errors.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

/** The files that are there already: their texts, and what they say. */
export interface InitFacts {
  readonly cwd: string;
  readonly configText: string | undefined;
  readonly config: JsonObject | undefined;
  readonly packageText: string | undefined;
  readonly manifest: JsonObject | undefined;
}

/** Throws USAGE for a file that cannot be understood, so that it is never edited. */
export async function readInitFacts(cwd: string): Promise<InitFacts> {
  const [configText, packageText] = await Promise.all([
    textOf(join(cwd, configFileName)),
    textOf(join(cwd, 'package.json')),
  ]);
  return {
    cwd,
    configText,
    config: objectIn(configText, join(cwd, configFileName)),
    packageText,
    manifest: objectIn(packageText, join(cwd, 'package.json')),
  };
}

export async function textOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw fromFileSystem(error, `Cannot read "${path}"`);
  }
}

function objectIn(text: string | undefined, path: string): JsonObject | undefined {
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (cause) {
    throw new SyncAgentError('USAGE', `Cannot use "${path}": it is not JSON: ${messageOf(cause)}`, { cause });
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  throw new SyncAgentError('USAGE', `Cannot use "${path}": it is not an object`);
}
