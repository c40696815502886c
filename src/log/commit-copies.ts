import { isSyncAgentError } from '../platform/errors.ts';
import { textBody } from '../remotes/body.ts';
import type { ObjectInfo, Remote } from '../remotes/remote.ts';
import { copiesPrefix, copyKey, parseCopyKey } from './layout.ts';
import { encodeManifest } from './manifest.ts';
import type { Manifest } from './manifest.ts';
import { lostLog } from './lost-log.ts';
import { readManifest } from './read-manifest.ts';
import type { LogSource } from './read-manifest.ts';

/**
 * `history/.commits/<generation>.json`: a copy of each commit, byte for byte, written after it. So a copy proves that
 * its snapshot was committed, and a history whose log is lost can say itself what it is.
 */
export interface CommitCopy extends ObjectInfo {
  readonly generation: number;
}

interface Options {
  readonly signal?: AbortSignal | undefined;
}

/** Ascending. One request. */
export async function listCopies(remote: Remote, { signal }: Options = {}): Promise<CommitCopy[]> {
  const copies: CommitCopy[] = [];
  for await (const page of remote.list(copiesPrefix, { signal })) {
    for (const object of page.objects) {
      const generation = parseCopyKey(object.key);
      if (generation !== undefined) copies.push({ ...object, generation });
    }
  }
  return copies;
}

/** Undefined where there is none that can be read. */
export async function readCopy(
  log: LogSource,
  generation: number,
  options: Options = {},
): Promise<Manifest | undefined> {
  try {
    const manifest = await readManifest(log, copyKey(generation), options);
    return manifest.generation === generation ? manifest : undefined;
  } catch (error) {
    if (isSyncAgentError(error, 'NOT_FOUND') || isSyncAgentError(error, 'SNAPSHOT_CORRUPT')) return undefined;
    throw error;
  }
}

/** Writes the copy of a commit that exists, unless there is one. */
export async function writeCopy(
  remote: Remote,
  manifest: Manifest,
  options: Options & { readonly createOnly: boolean },
): Promise<void> {
  try {
    await remote.put(copyKey(manifest.generation), textBody(encodeManifest(manifest)), {
      ifAbsent: options.createOnly,
      contentType: 'application/json',
      signal: options.signal,
    });
  } catch (error) {
    if (!isSyncAgentError(error, 'ALREADY_EXISTS')) throw error;
  }
}

/**
 * Rejects with SNAPSHOT_CORRUPT where the newest commits are gone: numbers never go back, so a copy of a higher one than
 * `readAgain` finds can only mean that. To be asked before a commit, which would use the number again.
 */
export async function assertLogWhole(
  remote: Remote,
  view: ListedLog,
  options: Options & { readonly readAgain: () => Promise<ListedLog> },
): Promise<readonly CommitCopy[]> {
  const copies = await listCopies(remote, options);
  const newest = copies.at(-1);
  if (newest !== undefined && newest.generation > lastNumber(view)) {
    // Another host may have committed since the log was read.
    const last = lastNumber(await options.readAgain());
    if (newest.generation > last) {
      const why = `its newest commits are gone: the last is number ${last}, but "${newest.key}" is the copy of a newer one`;
      throw lostLog(remote, why);
    }
  }
  return copies;
}

/** The part of a `LogView` that counts here. */
interface ListedLog {
  readonly commits: readonly { readonly generation: number }[];
}

const lastNumber = ({ commits }: ListedLog): number => commits.at(-1)?.generation ?? 0;
