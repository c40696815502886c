import { inspect } from 'node:util';
import { SyncAgentError } from '../platform/errors.ts';
import { isSettingKey, settingKeys, settingNamed } from './settings.ts';
import type { Config, SettingKey } from './settings.ts';
import { suggestion } from './suggest.ts';

export interface Layer {
  /** By setting key; undefined counts as not given. */
  readonly values: Readonly<Record<string, unknown>>;
  /** How the user wrote the setting: `--grace`, `SYNC_AGENT_GRACE`, `"grace" in /app/sync-agent.config.json`. */
  readonly nameOf: (key: string) => string;
}

/** Checks one layer. Throws USAGE that names the setting as its user wrote it, and for an unknown one the nearest that exists. */
export function parseLayer({ values, nameOf }: Layer): Config {
  const given = Object.keys(values).filter((key) => values[key] !== undefined);
  const unknown = given.find((key) => !isSettingKey(key));
  if (unknown !== undefined) {
    throw new SyncAgentError('USAGE', `Cannot use ${nameOf(unknown)}: there is no such setting`, {
      remedy: suggestion(unknown, settingKeys, `Settings: ${settingKeys.join(', ')}`),
    });
  }
  const config: Record<string, unknown> = {};
  for (const key of settingKeys) {
    if (!given.includes(key)) continue;
    // Resolved within a layer, so that either name wins over those of lower layers.
    const { aliasOf = key } = settingNamed(key);
    if (config[aliasOf] !== undefined) throw givenTwice(nameOf(key), nameOf(aliasOf));
    config[aliasOf] = readSetting(key, values[key], nameOf);
  }
  return config;
}

function readSetting(key: SettingKey, input: unknown, nameOf: Layer['nameOf']): unknown {
  const { kind, secrecy } = settingNamed(key);
  const value = kind.read(input);
  if (value !== undefined) return value;
  const quoted = secrecy === undefined ? ` = ${shortOf(input)}` : '';
  const complaint = kind.complaint?.(input);
  const why = `${complaint === undefined ? '' : `${complaint}; `}expected ${kind.expected}`;
  throw new SyncAgentError('USAGE', `Cannot use ${nameOf(key)}${quoted}: ${why}`);
}

function givenTwice(alias: string, name: string): SyncAgentError {
  return new SyncAgentError('USAGE', `Cannot use ${alias} beside ${name}: they are the same setting`, {
    remedy: 'Leave one of them out',
  });
}

/** A value for a message: the beginning of it, and never an error of its own. */
function shortOf(given: unknown): string {
  if (typeof given === 'string' && given.length > 200) return `${JSON.stringify(given.slice(0, 200))}…`;
  if (typeof given !== 'object') return JSON.stringify(given);
  return inspect(given, { depth: 1, breakLength: Infinity, maxStringLength: 100, maxArrayLength: 5 });
}
