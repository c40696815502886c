import { resolve } from 'node:path';
import { SyncAgentError } from '../platform/errors.ts';
import { fileLayer } from './config-file.ts';
import { configVariable, environmentLayer } from './environment.ts';
import { parseLayer } from './parse-layer.ts';
import { flagOf } from './setting.ts';
import { defaultOf } from './settings.ts';
import type { Config } from './settings.ts';

export interface ConfigSources {
  /** By setting key, as typed. */
  readonly flags: Readonly<Record<string, unknown>>;
  /** `--config`. */
  readonly configFile?: string | undefined;
  readonly env: Readonly<NodeJS.ProcessEnv>;
  readonly cwd: string;
  /** Gets the values of the config file before they are checked: they may say how to print errors. */
  readonly onFile?: (values: Readonly<Record<string, unknown>>) => void;
}

/** Flags win over the environment, the environment over the config file. Throws USAGE for anything not understood. */
export async function resolveConfig(sources: ConfigSources): Promise<Config & { readonly store: string }> {
  const { flags, env, cwd } = sources;
  const file = await fileLayer(cwd, sources.configFile ?? (env[configVariable] || undefined));
  if (file !== undefined) sources.onFile?.(file.values);
  const ofFlags = parseLayer({ values: flags, nameOf: (key) => `--${flagOf(key)}` });
  const ofEnvironment = parseLayer(environmentLayer(env));
  const ofFile = file === undefined ? {} : parseLayer(file);
  const config: Config = { ...ofFile, ...ofEnvironment, ...ofFlags };
  assertConsistent(config);
  return { ...config, store: resolve(cwd, config.store ?? defaultOf('store')) };
}

/** Checks that concern several settings. */
function assertConsistent({ quiet, verbose }: Config): void {
  if (quiet === true && verbose === true) {
    throw new SyncAgentError('USAGE', 'Cannot be quiet and verbose at once', {
      remedy: 'Leave one of them out',
    });
  }
}
