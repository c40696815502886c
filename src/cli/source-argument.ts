import { statSync } from 'node:fs';
import { snapshotNames } from './text/snapshot-text.ts';

/** What a positional argument names: an existing directory or anything with a slash is a directory, else it is a snapshot. */
export function sourceNamed(word: string | undefined): {
  readonly dir?: string;
  readonly snapshot?: string;
} {
  if (word === undefined) return {};
  const isDirectory = statSync(word, { throwIfNoEntry: false })?.isDirectory() === true;
  return isDirectory || /[/\\]/.test(word) ? { dir: word } : { snapshot: word };
}

/** For help texts. */
export const sourceNames = `Directory, or snapshot: ${snapshotNames}. Default: the store`;
