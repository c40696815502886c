import ignore from 'ignore';
import type { Ignore } from 'ignore';

/** Patterns of `--exclude`, in the syntax of .gitignore, relative to the store. */
export type Exclusions = readonly string[];

export const noExclusions: Exclusions = [];

const compiled = new WeakMap<Exclusions, Ignore>();

/**
 * Whether the user excluded a path below the store, itself or by a directory that it is in. An excluded database takes what
 * SQLite keeps beside it along.
 */
export function isExcluded(exclusions: Exclusions, path: string, isDirectory: boolean): boolean {
  return excludingPattern(exclusions, path, isDirectory) !== undefined;
}

/** The last pattern that applies to the path; undefined where it is not excluded. */
export function excludingPattern(
  exclusions: Exclusions,
  path: string,
  isDirectory: boolean,
): string | undefined {
  if (exclusions.length === 0) return undefined;
  const matcher = matcherOf(exclusions);
  const found = matcher.test(isDirectory ? `${path}/` : path).rule?.pattern;
  if (found !== undefined || isDirectory) return found;
  const database = path.replace(/-(wal|shm|journal)$/, '');
  return database === path ? undefined : matcher.test(database).rule?.pattern;
}

/** As people write them; undefined for one that could match nothing. */
export function parseExclusion(text: string): string | undefined {
  // "./logs" is no pattern of .gitignore, and means "/logs".
  const pattern = text.trim().replace(/^(!?)(\.\/)+/, '$1/');
  const isVoid =
    /^(#.*|[!/.\s]*)$/.test(pattern) || /(^|\/)\.\.(\/|$)/.test(pattern) || pattern.includes('\0');
  return isVoid || pattern.length > 1000 ? undefined : pattern;
}

function matcherOf(exclusions: Exclusions): Ignore {
  let matcher = compiled.get(exclusions);
  if (matcher === undefined) {
    matcher = ignore({ ignorecase: false }).add(exclusions);
    compiled.set(exclusions, matcher);
  }
  return matcher;
}
