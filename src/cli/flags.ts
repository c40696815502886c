import { SyncAgentError } from '../platform/errors.ts';
import { choice, duration, share, wholeNumber } from '../settings/kind.ts';
import type { Kind } from '../settings/kind.ts';

/** The flags and positionals of one command, as typed. */
export interface GivenFlags {
  has(name: string): boolean;
  text(name: string): string | undefined;
  list(name: string): readonly string[];
  /** Milliseconds. */
  duration(name: string): number | undefined;
  /** 0 to 1. */
  share(name: string): number | undefined;
  /** A whole number of at least 1. */
  count(name: string): number | undefined;
  choice<const T extends string>(name: string, choices: readonly T[]): T | undefined;
}

/** Reads what `parseCommandLine` found. Throws USAGE for a value of another kind than asked for. */
export function createFlags(
  values: Readonly<Record<string, string | boolean | readonly string[]>>,
): GivenFlags {
  const text = (name: string): string | undefined => {
    const value = values[name];
    return typeof value === 'string' ? value : undefined;
  };
  const read = <T>(name: string, { read: parse, expected }: Kind<T>): T | undefined => {
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
    duration: (name) => read(name, duration),
    share: (name) => read(name, share),
    count: (name) => read(name, wholeNumber(1, 1_000_000)),
    choice: (name, choices) => read(name, choice(...choices)),
  };
}
