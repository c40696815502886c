import { variableOf } from '../../settings/setting.ts';
import { placeKeys, settingKeys, settingNamed } from '../../settings/settings.ts';
import type { Config, SettingKey } from '../../settings/settings.ts';
import { SyncAgentError } from '../../platform/errors.ts';
import type { Invocation } from '../commands/command.ts';
import { assertWritable } from './assert-writable.ts';
import type { InitFacts, JsonObject } from './init-facts.ts';
import type { ConfigPlace, Scalar } from './plan-init.ts';

/** The answers in flags, environment and config, before anybody is asked. */
export interface GivenAnswers {
  readonly store: string | undefined;
  readonly remote: string | undefined;
  readonly settings: Readonly<Record<string, Scalar>>;
  readonly configIn: ConfigPlace | undefined;
  readonly prestart: boolean | undefined;
  readonly force: boolean;
}

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
    settings: settingsToWrite(given, config),
    configIn: flags.choice('config-in', ['file', 'package']),
    prestart: prestart ? true : noPrestart ? false : undefined,
    force: flags.has('force'),
  };
}

/** What tells where the server is, wherever that was said, and the flags that are about more than this run. */
function settingsToWrite(
  given: Readonly<Record<string, unknown>>,
  config: Config,
): Readonly<Record<string, Scalar>> {
  const written: Record<string, Scalar> = {};
  // The store and the remote are answers of their own.
  const isAnswer = (key: SettingKey): boolean => key === 'store' || key === 'remote';
  for (const key of placeKeys) {
    const value = (config as Readonly<Record<string, unknown>>)[key];
    if (value !== undefined && !isAnswer(key)) written[key] = value as Scalar;
  }
  for (const key of settingKeys) {
    if (given[key] === undefined || isAnswer(key) || settingNamed(key).scope === 'run') continue;
    written[key] = inFile(key, given[key] as Scalar);
  }
  // Before anybody is asked.
  assertWritable(written);
  return written;
}

function inFile(key: SettingKey, typed: Scalar): Scalar {
  switch (settingNamed(key).kind.json) {
    case 'boolean':
      return typed === true || typed === 'true';
    case 'number':
      return Number(typed);
    default:
      return typed;
  }
}
