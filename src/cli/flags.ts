import { parseDuration } from '../settings/units.ts';
import { SyncAgentError } from '../platform/errors.ts';

/** The flags and positionals of one command, as typed. */
export interface Flags {
  has(name: string): boolean;
  text(name: string): string | undefined;
  list(name: string): readonly string[];
  /** Milliseconds. */
  duration(name: string): number | undefined;
  choice<const T extends string>(name: string, choices: readonly T[]): T | undefined;
}

/** Reads what `parseCommandLine` found. Throws USAGE for a value that is not of the kind asked for. */
export function createFlags(values: Readonly<Record<string, string | boolean | readonly string[]>>): Flags {
  const text = (name: string): string | undefined => {
    const value = values[name];
    return typeof value === 'string' ? value : undefined;
  };
  const read = <T>(
    name: string,
    expected: string,
    parse: (value: string) => T | undefined,
  ): T | undefined => {
    const value = text(name);
    if (value === undefined) return undefined;
    const result = parse(value);
    if (result !== undefined) return result;
    throw new SyncAgentError(
      'USAGE',
      `Cannot use --${name} = ${JSON.stringify(value)}: expected ${expected}`,
    );
  };
  return {
    has: (name) => values[name] === true,
    text,
    list: (name) => {
      const value = values[name];
      return typeof value === 'object' ? value : [];
    },
    duration: (name) => read(name, 'a duration with its unit, such as 90s, 1h or 2h30m', parseDuration),
    choice: (name, choices) =>
      read(name, `one of ${choices.join(', ')}`, (value) => choices.find((each) => each === value)),
  };
}
