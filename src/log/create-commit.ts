import { isSyncAgentError, SyncAgentError } from '../platform/errors.ts';
import type { Body, CallOptions } from '../remotes/remote.ts';
import { listCommits } from './commit-log.ts';
import { commitKey } from './layout.ts';
import { manifestProblem } from './manifest.ts';
import type { Manifest } from './manifest.ts';
import { manifestBody, maxManifestBytes } from './manifest-text.ts';
import { readManifest } from './read-manifest.ts';
import type { LogSource } from './read-manifest.ts';

/**
 * **The commit.** One create-only put of the number after the newest. Afterwards the commit exists or it does not: there is no
 * third state. Resolves to undefined if another host took the number: then read the log again and decide again. A lost answer
 * is no failure: the upload id in the object says whose commit it is. Rejects with INTERNAL, before it writes, if no host could
 * read the manifest.
 */
export async function createCommit(
  source: LogSource,
  manifest: Manifest,
  options: CallOptions & { readonly createOnly: boolean },
): Promise<{ readonly serverTime: Date } | undefined> {
  const key = commitKey(manifest.generation);
  const body = readableBody(manifest);
  const isOurs = async (): Promise<boolean> => {
    try {
      return (await readManifest(source, key, options)).uploadId === manifest.uploadId;
    } catch (error) {
      // Another host's commit that was rotated away since, or an object that is no commit.
      if (isSyncAgentError(error, 'NOT_FOUND') || isSyncAgentError(error, 'SNAPSHOT_CORRUPT')) return false;
      throw error;
    }
  };
  try {
    const { serverTime } = await source.remote.put(key, body, {
      ifAbsent: options.createOnly,
      contentType: 'application/json',
      signal: options.signal,
    });
    return { serverTime };
  } catch (error) {
    if (isSyncAgentError(error, 'ALREADY_EXISTS')) {
      if (!(await isOurs())) return undefined;
    } else if (!isSyncAgentError(error, 'REMOTE_UNREACHABLE') || !(await isOurs().catch(() => false))) {
      throw error;
    }
    const { serverTime } = await listCommits(source.remote, options);
    return { serverTime };
  }
}

function readableBody(manifest: Manifest): Body {
  const body = manifestBody(manifest);
  const problem =
    manifestProblem(manifest) ??
    (body.size > maxManifestBytes ? `${body.size} bytes is too large for one` : undefined);
  if (problem === undefined) return body;
  throw new SyncAgentError(
    'INTERNAL',
    `Cannot commit snapshot ${manifest.id}: nobody could read its manifest: ${problem}`,
  );
}
