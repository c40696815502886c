import yargsParser from 'yargs-parser';
import { settingNamed } from '../settings/settings.ts';
import { suggestion } from '../settings/suggest.ts';
import { SyncAgentError } from '../platform/errors.ts';
import type { Command, Positional } from './commands/command.ts';
import { flagsOf, parserConfiguration } from './grammar.ts';
import type { Flag } from './grammar.ts';

export interface ParsedCommand {
  readonly command: Command;
  /** Settings by their key, as typed. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly configFile: string | undefined;
  /** The command's own flags and positionals. */
  readonly values: Readonly<Record<string, FlagValue>>;
}

type FlagValue = string | boolean | readonly string[];
type Flags = ReadonlyMap<string, Flag>;

/**
 * Understands a command line. Throws USAGE that names what is wrong and, where there is one, the near miss. This is the parser
 * that yargs has inside. Yargs itself takes too long to load for a run with nothing to do; it makes help and completion, from
 * the same flags.
 */
export function parseCommandLine(args: readonly string[], commands: readonly Command[]): ParsedCommand {
  const every = new Map(commands.flatMap((command) => [...flagsOf(command)]));
  const line = readLine(args, every);
  const [name, ...words] = line.words;
  const command = commands.find((each) => each.name === name);
  if (command === undefined) {
    // A flag that no command has may have taken the command's name for its value.
    assertKnown(line, every);
    throw noCommand(name, commands);
  }
  const { rest } = command;
  // Before its flags, which would be taken for ours.
  if (rest !== undefined) assertRest(command, rest, { words, rest: line.afterDashes });
  const flags = flagsOf(command);
  assertKnown(line, flags, command);

  const settings: Record<string, FlagValue> = {};
  const values: Record<string, FlagValue> = {};
  for (const [flag, spec] of flags) {
    const value = spec.type === 'boolean' ? switchIn(line, flag) : valueIn(line, flag, spec);
    if (value === undefined) continue;
    if (spec.setting !== undefined) settings[spec.setting] = value;
    else values[flag] = spec.type === 'boolean' ? yesOrNo(value, flag, command) : value;
  }
  const { config, ...own } = values;
  return {
    command,
    settings,
    configFile: config as string | undefined,
    values: {
      ...positionalsOf(command, rest === undefined ? [...words, ...line.afterDashes] : words),
      ...(rest === undefined ? {} : { [rest.name]: line.afterDashes }),
      ...own,
    },
  };
}

interface Line {
  /** All before "--". */
  readonly args: readonly string[];
  readonly words: readonly string[];
  readonly afterDashes: readonly string[];
  /** By flag, what yargs understood. A flag that needs a value and has none is undefined. */
  readonly given: ReadonlyMap<string, unknown>;
}

function readLine(args: readonly string[], flags: Flags): Line {
  const namesOf = (type: Flag['type']): string[] =>
    [...flags].flatMap(([name, flag]) => (flag.type === type ? [name] : []));
  const { argv } = yargsParser.detailed([...args], {
    string: namesOf('string'),
    boolean: namesOf('boolean'),
    narg: Object.fromEntries(namesOf('string').map((name) => [name, 1])),
    configuration: parserConfiguration,
  });
  const { _: words, '--': afterDashes = [], ...given } = argv;
  return {
    args: args.slice(0, args.length - afterDashes.length),
    words: words.map(String),
    afterDashes: afterDashes.map(String),
    given: new Map(Object.entries(given)),
  };
}

function assertKnown({ given, args }: Line, flags: Flags, command?: Command): void {
  for (const name of given.keys()) {
    if (flags.has(name)) continue;
    const typed = args.find((arg) => /^--?([^=]+)/.exec(arg)?.[1] === name) ?? `--${name}`;
    throw unknownFlag(typed.split('=')[0] ?? '', flags, command);
  }
}

/** The value of a flag that takes one. Throws if it is missing, or if there are several and the flag is no list. */
function valueIn({ given, args }: Line, name: string, { isList, setting }: Flag): FlagValue | undefined {
  if (!given.has(name)) return undefined;
  const values = [given.get(name)].flat() as readonly (string | undefined)[];
  for (const value of values) {
    const isSwallowed = value?.startsWith('--') === true && !args.includes(`--${name}=${value}`);
    if (value === undefined || value === '' || isSwallowed)
      throw new SyncAgentError('USAGE', `Cannot use --${name}: it needs a value`);
  }
  if (isList === true) return values.map(String);
  const isSecret = setting !== undefined && settingNamed(setting).secrecy !== undefined;
  return onlyOne(name, values.map(String), { isSecret });
}

/** The value of a flag that stands alone, as typed: yargs would take `--force=maybe` for `--force=false`. */
function switchIn({ given, args }: Line, name: string): FlagValue | undefined {
  const texts = args.flatMap((arg) => (arg.startsWith(`--${name}=`) ? [arg.slice(name.length + 3)] : []));
  if (texts.length === 0) return given.get(name) as boolean | undefined;
  return onlyOne(name, [...texts, ...(args.includes(`--${name}`) ? ['true'] : [])]);
}

function onlyOne(name: string, values: readonly string[], { isSecret = false } = {}): string | undefined {
  const different = [...new Set(values)];
  if (different.length < 2) return different[0];
  const quoted = isSecret ? '' : `: ${different.join(', ')}`;
  throw new SyncAgentError('USAGE', `Cannot use --${name} more than once${quoted}`);
}

function yesOrNo(value: FlagValue, flag: string, { name }: Command): boolean {
  if (typeof value === 'boolean') return value;
  if (value === 'true' || value === 'false') return value === 'true';
  throw new SyncAgentError(
    'USAGE',
    `Cannot use --${flag} = ${JSON.stringify(value)} with "${name}": expected true or false`,
  );
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

function unknownFlag(typed: string, flags: Flags, command: Command | undefined): SyncAgentError {
  const where = command === undefined ? '' : ` with "${command.name}"`;
  const positive = /^--no-(.+)$/.exec(typed)?.[1] ?? '';
  return new SyncAgentError('USAGE', `Cannot use ${typed}${where}: there is no such flag`, {
    remedy:
      flags.get(positive)?.type === 'boolean'
        ? `Write --${positive}=false`
        : suggestion(
            typed,
            [...flags.keys()].map((each) => `--${each}`),
            `"sync-agent ${command?.name ?? ''} --help" lists the flags`.replace('  ', ' '),
          ),
  });
}
