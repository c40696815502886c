import type { LogView } from '../log/commit-log.ts';
import { storeIdentity } from '../stores/content/fingerprint.ts';
import { storeExists } from '../home/home.ts';
import { readState } from '../home/state.ts';
import type { Context } from './context.ts';

/**
 * A remote without a single commit, although this host recorded a snapshot in it: a disk is not mounted,
 * another bucket is behind the same name, or somebody deleted the history. This is never normal, since
 * rotation and `clear-history` keep the newest snapshot.
 */
export interface EmptiedRemote {
  readonly why: string;
  readonly remedy: string;
}

/** Undefined if the remote holds commits, even damaged ones, and if this host does not know the remote. */
export async function findEmptied(
  { home, remote, remoteId }: Context,
  view: LogView,
): Promise<EmptiedRemote | undefined> {
  if (view.commits.length > 0) return undefined;
  const local = await readState(home);
  const parent = local?.remotes[remoteId]?.parent?.id;
  if (parent === undefined) return undefined;
  // The record describes the lost store, not another one that took its place.
  if ((await storeExists(home)) && local?.identity !== (await storeIdentity(home.store))) return undefined;
  return {
    why: `${remote.location} holds no snapshot at all, but this store was backed up to it, or restored from it, as ${parent}`,
    remedy:
      'Check that its disk is mounted, or that bucket and prefix are the right ones; to begin anew there, use "sync-agent backup --force"',
  };
}

/** For operations that go on with an empty remote. */
export async function warnIfEmptied(context: Context, view: LogView): Promise<void> {
  const emptied = await findEmptied(context, view);
  if (emptied === undefined) return;
  const { why: message, remedy } = emptied;
  context.emit({ type: 'warning', code: 'REFUSED', message, remedy });
}
