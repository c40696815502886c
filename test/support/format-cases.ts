import type { Formats } from '../../src/formats/registry.ts';
import { formats, formatsOf } from '../../src/formats/registry.ts';
import type { Content } from '../../src/formats/content-format.ts';
import { plainFormat } from '../../src/formats/plain/plain-format.ts';
import type { Remote } from '../../src/remotes/remote.ts';
import { packedFormat } from './packed-format.ts';

export interface FormatCase {
  readonly formats: Formats;
  /** Whether the newest snapshot's files are outside the history, too. */
  readonly hasCurrentFiles: boolean;
}

/** Knows both, and makes new snapshots in the packed format. */
export const packedFormats: Formats = formatsOf(packedFormat, plainFormat);

/** For `describe.each`: what the engine promises, it promises with each format. */
export const formatCases: readonly (readonly [string, FormatCase])[] = [
  ['plain', { formats, hasCurrentFiles: true }],
  ['packed', { formats: packedFormats, hasCurrentFiles: false }],
];

/** The object that a snapshot has a file's bytes in. */
export function objectOf(known: Formats, snapshot: Content, path: string): string {
  const object = known
    .of(snapshot)
    .reliedOn(snapshot)
    .find((each) => each.path === path);
  if (object === undefined) throw new Error(`snapshot ${snapshot.id} has no "${path}"`);
  return object.key;
}

/** Takes a file's bytes away: the object of the history, and the current file. */
export async function loseFile(
  remote: Remote,
  known: Formats,
  { snapshot, path }: { readonly snapshot: Content; readonly path: string },
): Promise<string> {
  const key = objectOf(known, snapshot, path);
  await remote.remove([key, path]);
  return key;
}
