import { flagOf } from '../settings/setting.ts';
import { groupOf, settingKeys, settingNamed } from '../settings/settings.ts';
import type { SettingKey } from '../settings/settings.ts';
import type { Command } from './commands/command.ts';

/** One flag of the command line. */
export interface Flag {
  readonly type: 'string' | 'boolean';
  readonly describe: string;
  /** May be given several times. */
  readonly isList?: boolean;
  readonly group?: string;
  /** What --help shows as its default. */
  readonly defaultDescription?: string;
  /** For completion. */
  readonly choices?: readonly string[];
  /** The setting that it gives. */
  readonly setting?: SettingKey;
}

/** By name. */
export type Flags = ReadonlyMap<string, Flag>;

/** How yargs reads words. It is the same for running a command, help and completion. */
export const parserConfiguration = {
  'boolean-negation': false,
  'camel-case-expansion': false,
  'dot-notation': false,
  'nargs-eats-options': true,
  'parse-numbers': false,
  'parse-positional-numbers': false,
  'populate--': true,
  'short-option-groups': false,
} as const;

/** The flags that every command has, by name. */
export const commonFlags: Flags = new Map<string, Flag>([
  [
    'config',
    {
      type: 'string',
      describe: 'Config file',
      defaultDescription: './sync-agent.config.json',
      group: groupOf('store'),
    },
  ],
  ...settingKeys.map((key) => [flagOf(key), flagOfSetting(key)] as const),
]);

/** All flags that a command understands, by name. */
export function flagsOf({ options = {} }: Pick<Command, 'options'>): Flags {
  return new Map<string, Flag>([...commonFlags, ...Object.entries(options)]);
}

function flagOfSetting(key: SettingKey): Flag {
  const { kind, help, default: fallback, defaultNote = fallback } = settingNamed(key);
  const isSwitch = kind.flag === 'switch';
  return {
    type: isSwitch ? 'boolean' : 'string',
    describe: help,
    isList: kind.flag === 'list',
    group: groupOf(key),
    setting: key,
    ...(isSwitch || defaultNote === undefined ? {} : { defaultDescription: defaultNote }),
    ...(kind.choices === undefined ? {} : { choices: kind.choices }),
  };
}
