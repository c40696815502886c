import { both } from '../platform/concurrently.ts';
import { SyncAgentError } from '../platform/errors.ts';
import type { Remote } from '../remotes/remote.ts';
import {
  attemptsPrefix,
  copiesPrefix,
  historyPrefix,
  isProbeKey,
  manifestKey,
  snapshotOfKey,
} from './layout.ts';

/** A small page is enough: the first keys nearly always decide. */
const pageSize = 100;

/**
 * A key that proves that a remote without a commit is not new. Undefined if it never had a snapshot. The files of a first
 * backup that was interrupted prove nothing: its object below `history/.attempts/` identifies them. Costs two listings, side
 * by side.
 */
export async function findTraces(
  remote: Remote,
  { signal: asked }: { readonly signal?: AbortSignal | undefined } = {},
): Promise<string | undefined> {
  const [inHistory, outside] = await both(
    asked,
    (signal) => findInHistory(remote, signal),
    (signal) => findManifest(remote, signal),
  );
  return inHistory ?? outside;
}

async function findInHistory(remote: Remote, signal: AbortSignal): Promise<string | undefined> {
  const attempts = new Set<string>();
  for await (const page of remote.list(historyPrefix, { signal, pageSize })) {
    for (const { key } of page.objects) {
      if (key.startsWith(attemptsPrefix)) attempts.add(key.slice(attemptsPrefix.length));
      else if (key.startsWith(copiesPrefix)) return key;
      else {
        const owner = snapshotOfKey(key);
        if (owner !== undefined && !attempts.has(owner) && !isProbeKey(key)) return key;
      }
    }
  }
  return undefined;
}

async function findManifest(remote: Remote, signal: AbortSignal): Promise<string | undefined> {
  for await (const page of remote.list(manifestKey, { signal, pageSize })) {
    return page.objects.find(({ key }) => key === manifestKey)?.key;
  }
  return undefined;
}

export const repairRemedy =
  'Run "sync-agent repair-remote --dry-run" to see what can be rebuilt; until the log is repaired, nothing is written or deleted there';

export function lostLog(remote: Remote, why: string): SyncAgentError {
  return new SyncAgentError('SNAPSHOT_CORRUPT', `Cannot read the log of ${remote.location}: ${why}`, {
    remedy: repairRemedy,
  });
}
