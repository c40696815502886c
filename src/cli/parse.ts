import { parseArgs } from 'node:util';
import { flagOf, secretKeys, settingKeys, settings } from '../settings/registry.ts';
import type { SettingKey } from '../settings/registry.ts';
import { suggestion } from '../settings/suggest.ts';
import { SyncAgentError } from '../platform/errors.ts';
import type { Command, Positional } from './commands/command.ts';

export interface ParsedCommand {
  readonly command: Command;
  /** Settings by their key, as typed. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly configFile: string | undefined;
  /** The command's own flags and positionals. */
  readonly values: Readonly<Record<string, string | boolean | readonly string[]>>;
}

type FlagType = 'string' | 'boolean';

/**
 * Understands a command line. Throws USAGE that names what is wrong and, where there is one, the near miss. Node's own
 * parser does it, since yargs takes a third of the time that a run with nothing to do may take; help and completion,
 * where nobody counts milliseconds, are made by yargs from the same definitions (`help.ts`).
 */
export function parseCommandLine(args: readonly string[], commands: readonly Command[]): ParsedCommand {
  const known = new Map(commands.map((command) => [command, flagsOf(command)]));
  const every = new Map([...known.values()].flatMap((flags) => [...flags]));
  const { tokens } = parseArgs({
    args: [...args],
    options: Object.fromEntries([...every].map(([name, type]) => [name, { type }])),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const terminator = tokens.find((token) => token.kind === 'option-terminator')?.index ?? Infinity;
  const [first, ...positionals] = tokens.filter((token) => token.kind === 'positional');
  const name = first?.value;
  const command = commands.find((each) => each.name === name);
  if (command === undefined) {
    // A flag that no command has may have left its value where the command's name was expected.
    for (const token of tokens) {
      if (token.kind === 'option' && !every.has(token.name)) throw unknownFlag(undefined, token, every);
    }
    throw noCommand(name, commands);
  }

  const hasRest = command.rest !== undefined;
  const words = positionals.filter(({ index }) => !hasRest || index < terminator).map(({ value }) => value);
  const rest = positionals.filter(({ index }) => hasRest && index > terminator).map(({ value }) => value);
  // Before its flags, which would be taken for ours.
  if (hasRest) assertRest(command, command.rest, { words, rest });

  const flags = known.get(command) ?? new Map<string, FlagType>();
  const given = new Map<string, (string | true)[]>();
  for (const token of tokens) {
    if (token.kind !== 'option') continue;
    const type = flags.get(token.name);
    if (type === undefined) throw unknownFlag(command, token, flags);
    if (type === 'string') assertValue(token);
    given.set(token.name, [...(given.get(token.name) ?? []), token.value ?? true]);
  }
  return {
    command,
    settings: Object.fromEntries(settingKeys.map((key) => [key, settingOf(key, given)])),
    configFile: only('config', given) as string | undefined,
    values: {
      ...positionalsOf(command, words),
      ...(command.rest === undefined ? {} : { [command.rest.name]: rest }),
      ...ownFlags(command, given),
    },
  };
}

/** All flags that a command understands: the settings', `--config`, and its own. */
function flagsOf({ options = {} }: Command): Map<string, FlagType> {
  return new Map<string, FlagType>([
    ['config', 'string'],
    ...settingKeys.map(
      (key) => [flagOf(key), settings[key].type === 'boolean' ? 'boolean' : 'string'] as const,
    ),
    ...Object.entries(options).map(([name, { type }]) => [name, type] as const),
  ]);
}

/** Throws if a command to run was forgotten, or the "--" before it. */
function assertRest(
  { name, positionals = [] }: Command,
  { name: what, isRequired }: Positional,
  { words, rest }: { readonly words: readonly string[]; readonly rest: readonly string[] },
): void {
  if (rest[0] !== undefined && rest[0] !== '') return;
  const surplus = words[positionals.length];
  if (surplus !== undefined) {
    throw new SyncAgentError('USAGE', `Cannot run "${name}": ${what.toUpperCase()} goes after "--"`, {
      remedy: `Write sync-agent ${name} -- ${surplus}, with flags of sync-agent before "--"`,
    });
  }
  if (!isRequired) return;
  throw new SyncAgentError('USAGE', `Cannot run "${name}": it needs "--" and then ${what.toUpperCase()}`, {
    remedy: `"sync-agent ${name} --help" shows how`,
  });
}

interface OptionToken {
  readonly name: string;
  readonly rawName: string;
  readonly value?: string | undefined;
  readonly inlineValue?: boolean | undefined;
}

function assertValue({ rawName, value, inlineValue }: OptionToken): void {
  const isSwallowed = inlineValue !== true && value?.startsWith('--') === true;
  if (value !== undefined && value !== '' && !isSwallowed) return;
  throw new SyncAgentError('USAGE', `Cannot use ${rawName}: it needs a value`);
}

function settingOf(
  key: SettingKey,
  given: ReadonlyMap<string, readonly (string | true)[]>,
): string | true | readonly (string | true)[] | undefined {
  return settings[key].type === 'list' ? given.get(flagOf(key)) : only(flagOf(key), given);
}

/** The value of a flag that can be given once. */
function only(
  name: string,
  given: ReadonlyMap<string, readonly (string | true)[]>,
): string | true | undefined {
  const values = given.get(name) ?? [];
  const different = [...new Set(values)];
  if (different.length < 2) return different[0];
  const quoted = secretKeys.some((key) => flagOf(key) === name) ? '' : `: ${different.join(', ')}`;
  throw new SyncAgentError('USAGE', `Cannot use --${name} more than once${quoted}`);
}

function ownFlags(
  { name: command, options = {} }: Command,
  given: ReadonlyMap<string, readonly (string | true)[]>,
) {
  const values: Record<string, string | boolean | readonly string[]> = {};
  for (const [name, { type, isList }] of Object.entries(options)) {
    const value = isList === true ? given.get(name)?.map(String) : only(name, given);
    if (value === undefined) continue;
    if (type === 'boolean' && value !== true && value !== 'true' && value !== 'false') {
      throw new SyncAgentError(
        'USAGE',
        `Cannot use --${name} = ${JSON.stringify(value)} with "${command}": expected true or false`,
      );
    }
    values[name] = type === 'boolean' ? value !== 'false' : value;
  }
  return values;
}

function positionalsOf(command: Command, words: readonly string[]): Readonly<Record<string, string>> {
  const positionals = command.positionals ?? [];
  const missing = positionals.filter(({ isRequired }, index) => isRequired && words[index] === undefined);
  const surplus = words[positionals.length];
  const complaint =
    missing.length > 0
      ? `it needs ${missing.map(({ name }) => name.toUpperCase()).join(' and ')}`
      : surplus === undefined
        ? undefined
        : `"${surplus}" is one argument too many`;
  if (complaint !== undefined) {
    throw new SyncAgentError('USAGE', `Cannot run "${command.name}": ${complaint}`, {
      remedy: `"sync-agent ${command.name} --help" shows how`,
    });
  }
  return Object.fromEntries(words.map((word, index) => [positionals[index]?.name ?? '', word]));
}

function noCommand(word: string | undefined, commands: readonly Command[]): SyncAgentError {
  const names = [...commands.map(({ name }) => name), 'completion'];
  if (word === undefined) {
    return new SyncAgentError('USAGE', 'Cannot do anything without a command', {
      remedy: `Commands: ${names.join(', ')}; "sync-agent --help" explains them`,
    });
  }
  return new SyncAgentError('USAGE', `Cannot run "${word}": there is no such command`, {
    remedy: suggestion(word, names, `Commands: ${names.join(', ')}`),
  });
}

function unknownFlag(
  command: Command | undefined,
  { name, rawName }: OptionToken,
  known: ReadonlyMap<string, FlagType>,
): SyncAgentError {
  const where = command === undefined ? '' : ` with "${command.name}"`;
  const positive = name.replace(/^no-/, '');
  return new SyncAgentError('USAGE', `Cannot use ${rawName}${where}: there is no such flag`, {
    remedy:
      positive !== name && known.get(positive) === 'boolean'
        ? `Write --${positive}=false`
        : suggestion(
            rawName,
            [...known.keys()].map((each) => `--${each}`),
            `"sync-agent ${command?.name ?? ''} --help" lists the flags`.replace('  ', ' '),
          ),
  });
}
