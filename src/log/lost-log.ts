import { SyncAgentError } from '../platform/errors.ts';
import type { Remote } from '../remotes/remote.ts';
import { attemptsPrefix, copiesPrefix, historyPrefix, isProbeKey, manifestKey, ownerOf } from './layout.ts';

/** Looks at so few keys at once: the first ones nearly always decide. */
const pageSize = 100;

/**
 * A key that proves that a remote without a commit is not a new one; undefined for one that never held a snapshot.
 * What a first backup leaves that was cut off proves nothing: it says so itself, by its object below
 * `history/.attempts/`. One listing where there is a history, two for a remote that is empty.
 */
export async function findTraces(
  remote: Remote,
  { signal }: { readonly signal?: AbortSignal | undefined } = {},
): Promise<string | undefined> {
  const attempts = new Set<string>();
  for await (const page of remote.list(historyPrefix, { signal, pageSize })) {
    for (const { key } of page.objects) {
      if (key.startsWith(attemptsPrefix)) attempts.add(key.slice(attemptsPrefix.length));
      else if (key.startsWith(copiesPrefix)) return key;
      else {
        const owner = ownerOf(key);
        if (owner !== undefined && !attempts.has(owner) && !isProbeKey(key)) return key;
      }
    }
  }
  for await (const page of remote.list(manifestKey, { signal, pageSize })) {
    return page.objects.find(({ key }) => key === manifestKey)?.key;
  }
  return undefined;
}

export const repairRemedy =
  'Run "sync-agent repair-remote --dry-run" to see what can be rebuilt; until then nothing is written or deleted there';

export function lostLog(remote: Remote, why: string): SyncAgentError {
  return new SyncAgentError('SNAPSHOT_CORRUPT', `Cannot read the log of ${remote.location}: ${why}`, {
    remedy: repairRemedy,
  });
}
