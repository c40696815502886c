import { settingKeys, settings, variableOf } from '../../settings/registry.ts';
import type { SettingKey } from '../../settings/registry.ts';
import { SyncAgentError } from '../../platform/errors.ts';
import type { Invocation } from '../commands/command.ts';
import { assertWritable } from './assert-writable.ts';
import type { InitFacts, JsonObject } from './init-facts.ts';
import type { ConfigPlace, Scalar } from './plan-init.ts';

/** What flags, the environment and a config said, before anybody is asked. */
export interface GivenAnswers {
  readonly store: string | undefined;
  readonly remote: string | undefined;
  readonly settings: Readonly<Record<string, Scalar>>;
  readonly configIn: ConfigPlace | undefined;
  readonly prestart: boolean | undefined;
  readonly force: boolean;
}

/** Written as a number, which a config file reads more easily than text. */
const numeric: readonly string[] = [
  'keep',
  'keepLast',
  'keepHourly',
  'keepDaily',
  'keepWeekly',
  'keepMonthly',
  'rollbackCopies',
  'concurrency',
  's3.uploadConcurrency',
];

export function givenAnswers(
  { config, given, flags }: Invocation,
  facts: InitFacts,
  env: Readonly<NodeJS.ProcessEnv>,
): GivenAnswers {
  const [prestart, noPrestart] = [flags.has('prestart'), flags.has('no-prestart')];
  if (prestart && noPrestart)
    throw new SyncAgentError('USAGE', 'Cannot use --prestart and --no-prestart together');
  const before = facts.config ?? (facts.manifest?.['syncAgent'] as JsonObject | undefined);
  const hasStore = Boolean(given['store'] ?? env[variableOf('store')] ?? before?.['store']);
  return {
    store: hasStore ? config.store : undefined,
    remote: config.remote,
    settings: settingsToWrite(given, {
      's3.endpoint': config['s3.endpoint'],
      's3.region': config['s3.region'],
    }),
    configIn: flags.choice('config-in', ['file', 'package']),
    prestart: prestart ? true : noPrestart ? false : undefined,
    force: flags.has('force'),
  };
}

/** Flags that are about backups and not about this run, and how to reach the server, wherever that was said. */
function settingsToWrite(
  given: Readonly<Record<string, unknown>>,
  server: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, Scalar>> {
  const written: Record<string, Scalar> = {};
  for (const [key, value] of Object.entries(server)) if (value !== undefined) written[key] = value;
  for (const key of settingKeys) {
    const value = given[key];
    if (key === 'store' || key === 'remote' || value === undefined || settings[key].group === 'Output:')
      continue;
    written[key] = inFile(key, value as Scalar);
  }
  // Before anybody is asked.
  assertWritable(written);
  return written;
}

function inFile(key: SettingKey, value: Scalar): Scalar {
  if (settings[key].type === 'boolean') return value === true || value === 'true';
  return numeric.includes(key) ? Number(value) : value;
}
