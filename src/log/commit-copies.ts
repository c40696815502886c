import { isSyncAgentError } from '../platform/errors.ts';
import type { CallOptions, ObjectInfo, Remote } from '../remotes/remote.ts';
import { copiesPrefix, copyKey, parseCopyKey } from './layout.ts';
import { manifestBody } from './manifest-text.ts';
import type { Manifest } from './manifest.ts';
import { lostLog } from './lost-log.ts';
import { readManifest } from './read-manifest.ts';
import type { LogSource } from './read-manifest.ts';

/**
 * `history/.commits/<generation>.json`: a copy of each commit, byte for byte, written after the commit. So a copy proves that
 * its snapshot was committed, and a lost log can be rebuilt from the copies.
 */
export interface CommitCopy extends ObjectInfo {
  readonly generation: number;
}

/** All copies, ascending. One request per 1000. */
export async function listCommitCopies(remote: Remote, { signal }: CallOptions = {}): Promise<CommitCopy[]> {
  const copies: CommitCopy[] = [];
  for await (const page of remote.list(copiesPrefix, { signal })) {
    for (const object of page.objects) {
      const generation = parseCopyKey(object.key);
      if (generation !== undefined) copies.push({ ...object, generation });
    }
  }
  return copies;
}

/** The copy of a commit. Undefined if there is none, or if it cannot be read. */
export async function readCommitCopy(
  log: LogSource,
  generation: number,
  options: CallOptions = {},
): Promise<Manifest | undefined> {
  try {
    const manifest = await readManifest(log, copyKey(generation), options);
    return manifest.generation === generation ? manifest : undefined;
  } catch (error) {
    if (isSyncAgentError(error, 'NOT_FOUND') || isSyncAgentError(error, 'SNAPSHOT_CORRUPT')) return undefined;
    throw error;
  }
}

/** Writes the copy of an existing commit, unless there is one already. */
export async function writeCommitCopy(
  remote: Remote,
  manifest: Manifest,
  options: CallOptions & { readonly createOnly: boolean },
): Promise<void> {
  try {
    await remote.put(copyKey(manifest.generation), manifestBody(manifest), {
      ifAbsent: options.createOnly,
      contentType: 'application/json',
      signal: options.signal,
    });
  } catch (error) {
    if (!isSyncAgentError(error, 'ALREADY_EXISTS')) throw error;
  }
}

/**
 * Rejects with SNAPSHOT_CORRUPT if the newest commits are gone. Numbers only grow, so a copy with a higher number than the
 * commits that `readAgain` finds proves it. Call this before a commit: it would use the lost number again.
 */
export async function assertLogWhole(
  remote: Remote,
  view: ListedLog,
  options: CallOptions & {
    readonly readAgain: () => Promise<ListedLog>;
    /** As listed a moment ago. Default: they are listed. */
    readonly copies?: Promise<readonly CommitCopy[]> | undefined;
  },
): Promise<readonly CommitCopy[]> {
  const copies = await (options.copies ?? listCommitCopies(remote, options));
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

/** The part of a `LogView` that is needed here. */
interface ListedLog {
  readonly commits: readonly { readonly generation: number }[];
}

const lastNumber = ({ commits }: ListedLog): number => commits.at(-1)?.generation ?? 0;
