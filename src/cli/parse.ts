import { suggestion } from '../settings/suggest.ts';
import { SyncAgentError } from '../platform/errors.ts';
import type { Command, Positional } from './commands/command.ts';
import { flagsOf } from './grammar.ts';
import type { Flags } from './grammar.ts';
import { readLine, switchIn, valueIn } from './read-line.ts';
import type { FlagValue, Line } from './read-line.ts';

export interface ParsedCommand {
  readonly command: Command;
  /** Settings by their key, as typed. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly configFile: string | undefined;
  /** The command's own flags and positionals. */
  readonly values: Readonly<Record<string, FlagValue>>;
}

/** Understands a command line. Throws USAGE that names what is wrong and the near miss, if there is one. */
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

function assertKnown({ given, args }: Line, flags: Flags, command?: Command): void {
  for (const name of given.keys()) {
    if (flags.has(name)) continue;
    const typed = args.find((arg) => /^--?([^=]+)/.exec(arg)?.[1] === name) ?? `--${name}`;
    throw unknownFlag(typed.split('=')[0] ?? '', flags, command);
  }
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

function positionalsOf(command: Command, words: readonly string[]): Readonly<Record<string, FlagValue>> {
  const positionals = command.positionals ?? [];
  const missing = positionals.filter(({ isRequired }, index) => isRequired && words[index] === undefined);
  const last = positionals.at(-1);
  const surplus = last?.isList === true ? undefined : words[positionals.length];
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
  return Object.fromEntries(
    positionals.flatMap(({ name, isList }, index): [string, FlagValue][] => {
      if (isList === true) return [[name, words.slice(index)]];
      const word = words[index];
      return word === undefined ? [] : [[name, word]];
    }),
  );
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
