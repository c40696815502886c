import { readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { SyncAgentError, errnoOf, messageOf } from '../platform/errors.ts';
import { resolveRemote } from '../remotes/remote-url.ts';
import type { Layer } from './parse-layer.ts';

export const configFileName = 'sync-agent.config.json';

/**
 * The settings of the config file: of `path` if given, else of `sync-agent.config.json` or `syncAgent` in package.json, both in
 * `cwd`. Undefined if there is neither, USAGE if there are both. Relative paths in the file become absolute.
 */
export async function fileLayer(cwd: string, path: string | undefined): Promise<Layer | undefined> {
  if (path !== undefined) {
    const file = resolve(cwd, path);
    const content = await readJson(file);
    if (content === undefined) throw unusable(file, 'it does not exist');
    return layerOf(file, content);
  }
  const file = join(cwd, configFileName);
  const packageFile = join(cwd, 'package.json');
  const [content, manifest] = await Promise.all([readJson(file), readJson(packageFile, { isOurs: false })]);
  const embedded = isObject(manifest) ? manifest['syncAgent'] : undefined;
  if (content !== undefined && embedded !== undefined) {
    throw unusable(
      file,
      'package.json has a "syncAgent" key too',
      'Keep one of them, or name the file with --config',
    );
  }
  if (content !== undefined) return layerOf(file, content);
  return embedded === undefined ? undefined : layerOf(packageFile, embedded, 'syncAgent.');
}

function layerOf(file: string, content: unknown, within = ''): Layer {
  if (!isObject(content)) throw unusable(file, `${within === '' ? 'it' : '"syncAgent"'} is not an object`);
  // Without a prototype, "__proto__" is an unknown key like any other.
  const values: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  for (const [key, value] of Object.entries(content)) {
    if (key === '$schema') continue;
    if (key === 's3' && isObject(value)) {
      for (const [name, each] of Object.entries(value)) values[`s3.${name}`] = each;
    } else values[key] = value;
  }
  const base = dirname(file);
  const { store, remote } = values;
  if (typeof store === 'string' && store !== '') values['store'] = resolve(base, store);
  if (typeof remote === 'string') values['remote'] = resolveRemote(remote, base);
  return { values, nameOf: (key) => `"${within}${key}" in ${file}` };
}

/** Undefined if the file does not exist. A package.json that does not mention us may be anything: we do not judge it. */
async function readJson(path: string, { isOurs = true } = {}): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || !isOurs) return undefined;
    throw unusable(path, messageOf(error), undefined, error);
  }
  try {
    return JSON.parse(text.replace(/^\uFEFF/, '')) as unknown;
  } catch (error) {
    if (!isOurs && !text.includes('syncAgent')) return undefined;
    throw unusable(path, `it is not JSON: ${messageOf(error)}`, undefined, error);
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function unusable(path: string, why: string, remedy?: string, cause?: unknown): SyncAgentError {
  return new SyncAgentError('USAGE', `Cannot use the config file "${path}": ${why}`, {
    ...(remedy === undefined ? {} : { remedy }),
    ...(cause === undefined ? {} : { cause }),
  });
}
