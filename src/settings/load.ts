import { resolve } from 'node:path';
import type { SyncAgentSettings } from '../library/open-daemon.ts';
import { defaultHttpAddress } from '../web/http-address.ts';
import type { HttpSettings } from '../web/http-address.ts';
import { configVariable, environmentLayer, inHookVariable } from './environment.ts';
import { fileLayer } from './config-file.ts';
import { parseLayer } from './schema.ts';
import type { Config } from './schema.ts';
import { flagOf } from './registry.ts';
import { SyncAgentError } from '../platform/errors.ts';
import type { Hooks } from '../hooks/hook.ts';

export type { Config } from './schema.ts';

export interface ConfigSources {
  /** By setting key, as typed. */
  readonly flags: Readonly<Record<string, unknown>>;
  /** `--config`. */
  readonly configFile?: string | undefined;
  readonly env: Readonly<NodeJS.ProcessEnv>;
  readonly cwd: string;
  /** Is shown what the config file says before any of it is judged: it may say how errors should look. */
  readonly onFile?: (values: Readonly<Record<string, unknown>>) => void;
}

/** The store that `chroma run` uses when it is not told another. */
const defaultStore = './chroma';

/** Flags over environment over config file over defaults. Throws USAGE for whatever cannot be understood. */
export async function resolveConfig(sources: ConfigSources): Promise<Config> {
  const { flags, env, cwd } = sources;
  const file = await fileLayer(cwd, sources.configFile ?? (env[configVariable] || undefined));
  if (file !== undefined) sources.onFile?.(file.values);
  const ofFlags = parseLayer({ values: flags, nameOf: (key) => `--${flagOf(key)}` });
  const ofEnvironment = parseLayer(environmentLayer(env));
  const ofFile = file === undefined ? {} : parseLayer(file);
  const config: Config = { ...ofFile, ...ofEnvironment, ...ofFlags };
  if (config.quiet === true && config.verbose === true) {
    throw new SyncAgentError('USAGE', 'Cannot be quiet and verbose at once', {
      remedy: 'Leave one of them out',
    });
  }
  return { ...config, store: resolve(cwd, config.store ?? defaultStore) };
}

/** What an agent is made from. USAGE without a remote: a default place for backups would be a trap. */
export function agentSettings(config: Config): SyncAgentSettings {
  if (config.remote === undefined) {
    throw new SyncAgentError('USAGE', 'Cannot work without a remote: none is configured', {
      remedy:
        'Run "sync-agent init", which asks for it; or add --remote s3://bucket/prefix or --remote file:///backup/dir, or set SYNC_AGENT_REMOTE',
    });
  }
  return localSettings(config, config.remote);
}

/** Null: nowhere. */
export function httpSettings({ http, httpToken }: Config): HttpSettings | null {
  if (http === 'off') return null;
  return { ...(http ?? defaultHttpAddress), isPortFixed: http !== undefined, token: httpToken };
}

/** For everything between the signal to stop and the exit, milliseconds. Platforms give 10 to 30 seconds, most of them 30. */
export function shutdownBudgetMs({ shutdownBudget = 25_000 }: Config): number {
  return shutdownBudget;
}

/** As `agentSettings`, for calls that never touch the remote. */
export function localSettings(config: Config, remote = ''): SyncAgentSettings {
  return {
    store: config.store ?? defaultStore,
    remote,
    adapter: config.adapter,
    exclude: config.exclude,
    owner: config.owner,
    host: config.host,
    keepLast: config.keepLast,
    keepHourly: config.keepHourly,
    keepDaily: config.keepDaily,
    keepWeekly: config.keepWeekly,
    keepMonthly: config.keepMonthly,
    keepWithinMs: config.keepWithin,
    graceMs: config.grace,
    captureTimeoutMs: config.captureTimeout,
    history: config.history,
    validation: config.fullCheck === true ? 'full' : 'quick',
    maxShrink: config.maxShrink,
    onDamage: config.onDamage,
    startTimeoutMs: config.startTimeout,
    rollbackCopies: config.rollbackCopies,
    concurrency: config.concurrency,
    intervalMs: config.interval,
    cron: config.cron,
    settleMs: config.settle,
    detect: config.detect,
    pollIntervalMs: config.pollInterval,
    leaseMs: config.lease === 'off' ? undefined : config.lease,
    s3: {
      endpoint: config['s3.endpoint'],
      region: config['s3.region'],
      forcePathStyle: config['s3.forcePathStyle'],
      serverSideEncryption: config['s3.sse'],
      kmsKeyId: config['s3.kmsKeyId'],
      storageClass: config['s3.storageClass'],
      partSizeBytes: config['s3.partSize'],
      uploadConcurrency: config['s3.uploadConcurrency'],
      checksums: config['s3.checksums'],
    },
  };
}

/** Undefined when there is none, and within a hook: what a hook calls must not call that hook again. */
export function hookSettings(config: Config, env: Readonly<NodeJS.ProcessEnv>): Hooks | undefined {
  const { hookBeforeBackup, hookAfterBackup, hookBeforeRestore, hookAfterRestore } = config;
  const texts = [hookBeforeBackup, hookAfterBackup, hookBeforeRestore, hookAfterRestore];
  if (texts.every((text) => text === undefined) || env[inHookVariable]) return undefined;
  return {
    beforeBackup: hookBeforeBackup,
    afterBackup: hookAfterBackup,
    beforeRestore: hookBeforeRestore,
    afterRestore: hookAfterRestore,
    timeoutMs: config.hookTimeout,
  };
}
