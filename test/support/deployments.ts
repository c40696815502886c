import { readFileSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { parse as parseToml } from 'smol-toml';
import { parse as parseYaml } from 'yaml';
import { repository } from './documents.ts';

/** A start of `sync-agent` that a file holds: what follows the program's name. */
export interface Invocation {
  readonly file: string;
  readonly args: readonly string[];
}

export interface Variable {
  readonly file: string;
  readonly name: string;
  readonly value: string;
}

/** Every file below deploy/, from the repository's root. */
export function deploymentFiles(): readonly string[] {
  return readdirSync(join(repository, 'deploy'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(repository, join(entry.parentPath, entry.name)))
    .toSorted();
}

/** What a YAML, JSON or TOML file holds; undefined for files of other kinds. */
export function parseDeployment(file: string): unknown {
  const text = readFileSync(join(repository, file), 'utf8');
  if (/\.ya?ml$/.test(file)) return parseYaml(text, { merge: true });
  if (file.endsWith('.json')) return JSON.parse(text);
  return /\.toml$|\.replit$/.test(file) ? parseToml(text) : undefined;
}

export function invocationsIn(file: string): readonly Invocation[] {
  const found = valuesIn(file).flatMap((value): readonly (readonly string[])[] => {
    if (typeof value === 'string') return startsInText(value);
    if (Array.isArray(value)) return startInArray(value);
    const { image, args, command = args } = value as { image?: unknown; args?: unknown; command?: unknown };
    return image === 'sync-agent' && isStrings(command) ? [command] : [];
  });
  return found.map((args) => ({ file, args }));
}

export function variablesIn(file: string): readonly Variable[] {
  const found = valuesIn(file).flatMap((value): readonly (readonly [string, unknown])[] => {
    if (typeof value === 'string') {
      return [...value.matchAll(/(?<![\w$"])(SYNC_AGENT_\w+)=(\S+)/g)].map(([, name = '', text]) => [
        name,
        text,
      ]);
    }
    if (Array.isArray(value)) return [];
    const { name, key = name, value: text } = value as { name?: unknown; key?: unknown; value?: unknown };
    return [...Object.entries(value), ...(text === undefined ? [] : [[String(key), text] as const])];
  });
  return found
    .filter(([name, value]) => name.startsWith('SYNC_AGENT_') && typeof value === 'string')
    .map(([name, value]) => ({ file, name, value: withDefaults(String(value)) }));
}

/** Everything within a file, at every depth; of a text, its lines without comments, a Dockerfile's as they are run. */
function valuesIn(file: string): readonly (string | object)[] {
  const parsed = parseDeployment(file);
  if (parsed !== undefined) return everythingIn(parsed);
  const text = readFileSync(join(repository, file), 'utf8').replace(/^\s*(#|\/\/).*$/gm, '');
  const listOf = (instruction: string): readonly string[] => {
    const list = new RegExp(`^${instruction} (\\[.*\\])$`, 'm').exec(text)?.[1] ?? '[]';
    return JSON.parse(list) as readonly string[];
  };
  return [...text.split('\n'), [...listOf('ENTRYPOINT'), ...listOf('CMD')]];
}

function everythingIn(value: unknown): readonly (string | object)[] {
  if (typeof value === 'string') return [value];
  if (typeof value !== 'object' || value === null) return [];
  return [value, ...Object.values(value).flatMap(everythingIn)];
}

function startsInText(text: string): readonly (readonly string[])[] {
  return [...text.matchAll(/(?:^|[\s/])sync-agent ([a-z][^\n|;&]*)/gm)].map(([, rest = '']) =>
    rest.trim().split(/\s+/),
  );
}

function startInArray(list: readonly unknown[]): readonly (readonly string[])[] {
  if (!isStrings(list)) return [];
  const at = list.findIndex((word) => /(^|\/)sync-agent$/.test(word));
  return at === -1 ? [] : [list.slice(at + 1)];
}

const isStrings = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((each) => typeof each === 'string');

/** `${NAME:-default}` as compose understands it where NAME is not set. */
const withDefaults = (text: string): string => text.replace(/\$\{\w+:-([^}]*)\}/g, '$1');
