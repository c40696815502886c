import { assertLogWhole } from '../log/commit-copies.ts';
import type { CommitCopy } from '../log/commit-copies.ts';
import { readEntry, readLog } from '../log/commit-log.ts';
import type { LogView, ReadLogOptions } from '../log/commit-log.ts';
import type { LogEntry, Manifest } from '../log/manifest.ts';
import { SyncAgentError, isSyncAgentError } from '../platform/errors.ts';
import type { Context } from './context.ts';
import { readKnownCommit } from './known-manifests.ts';

/** For an operation whose caller has read the remote's log already. */
export interface GivenView {
  readonly view?: LogView | undefined;
}

/** Reads the remote's log. The newest commit is not fetched if this host knows it. */
export async function readRemote(
  context: Context,
  { known, isProbablyNew = false }: Pick<ReadLogOptions, 'isProbablyNew' | 'known'> = {},
): Promise<LogView> {
  const newest = known ?? (await readKnownCommit(context));
  return readLog(context, { isProbablyNew, known: newest, signal: context.signal });
}

/** Describes the newest commits that the log has lost; empty if none. Costs one listing, unless there is one of the copies. */
export async function findLostNewest(
  context: Context,
  view: LogView,
  copies?: Promise<readonly CommitCopy[]>,
): Promise<readonly string[]> {
  const { remote, signal } = context;
  try {
    await assertLogWhole(remote, view, { signal, copies, readAgain: () => readLog(context, { signal }) });
    return [];
  } catch (error) {
    if (!isSyncAgentError(error, 'SNAPSHOT_CORRUPT')) throw error;
    return [error.message];
  }
}

/** Warns of newer commits that cannot be read, for operations that go by an older one. */
export function warnOfDamage({ emit }: Context, { damaged }: LogView): void {
  for (const { error, isCopied } of damaged) {
    emit({
      type: 'warning',
      code: error.code,
      message: `${error.message}; ${isCopied ? 'its copy counts' : 'the commit before it counts'}`,
      remedy: isCopied
        ? 'Nothing is lost. "sync-agent verify" tells what else is damaged'
        : 'What it committed is not seen: a snapshot, or pins. "sync-agent verify" tells what else is damaged, "sync-agent repair-remote" what can be rebuilt',
    });
  }
}

/** The manifest of a live snapshot. SNAPSHOT_CORRUPT if it is damaged, or was rotated away meanwhile. */
export async function manifestOf(context: Context, view: LogView, entry: LogEntry): Promise<Manifest> {
  if (view.head?.id === entry.id) return view.head;
  try {
    return await readEntry(context, entry, { signal: context.signal });
  } catch (error) {
    if (!isSyncAgentError(error, 'NOT_FOUND')) throw error;
    throw new SyncAgentError('SNAPSHOT_CORRUPT', `Cannot read snapshot ${entry.id}: its commit is gone`, {
      cause: error,
    });
  }
}

/** As `manifestOf`, but undefined instead of SNAPSHOT_CORRUPT, for work that can go on without it. */
export async function manifestIfReadable(
  context: Context,
  view: LogView,
  entry: LogEntry,
): Promise<Manifest | undefined> {
  try {
    return await manifestOf(context, view, entry);
  } catch (error) {
    if (isSyncAgentError(error, 'SNAPSHOT_CORRUPT')) return undefined;
    throw error;
  }
}

/** The newest snapshot's manifest; undefined if there is none, or if it cannot be read. */
export async function newestManifest(context: Context, view: LogView): Promise<Manifest | undefined> {
  const newest = view.snapshots.at(-1)?.entry;
  return newest && manifestIfReadable(context, view, newest);
}
