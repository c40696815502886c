import yargsParser from 'yargs-parser';
import { settingNamed } from '../settings/settings.ts';
import { SyncAgentError } from '../platform/errors.ts';
import { parserConfiguration } from './grammar.ts';
import type { Flag, Flags } from './grammar.ts';

export type FlagValue = string | boolean | readonly string[];

/** A command line as yargs reads it. */
export interface Line {
  /** All before "--". */
  readonly args: readonly string[];
  readonly words: readonly string[];
  readonly afterDashes: readonly string[];
  /** By flag, what yargs understood. A flag that needs a value and has none is undefined. */
  readonly given: ReadonlyMap<string, unknown>;
}

/**
 * Reads words and flags. This is the parser that yargs has inside. Yargs itself takes too long to load for a run with nothing to
 * do; it makes help and completion, from the same flags.
 */
export function readLine(args: readonly string[], flags: Flags): Line {
  const namesOf = (type: Flag['type']): string[] =>
    [...flags].flatMap(([name, flag]) => (flag.type === type ? [name] : []));
  const {
    _: before,
    '--': after = [],
    ...given
  } = yargsParser([...args], {
    string: namesOf('string'),
    boolean: namesOf('boolean'),
    narg: Object.fromEntries(namesOf('string').map((name) => [name, 1])),
    configuration: parserConfiguration,
  });
  // The command itself may come after "--".
  const [words, afterDashes] = before.length > 0 ? [before, after] : [after.slice(0, 1), after.slice(1)];
  return {
    args: args.slice(0, args.length - after.length),
    words: words.map(String),
    afterDashes: afterDashes.map(String),
    given: new Map(Object.entries(given)),
  };
}

/** The value of a flag that takes one. Throws if it is missing, or if there are several and the flag is no list. */
export function valueIn(
  { given, args }: Line,
  name: string,
  { isList, setting }: Flag,
): FlagValue | undefined {
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
export function switchIn({ given, args }: Line, name: string): FlagValue | undefined {
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
