import { isSyncAgentError } from '../../platform/errors.ts';
import type { LogView } from '../../log/commit-log.ts';
import { epochOf } from '../../log/precedence.ts';
import type { Context } from '../context.ts';
import { recommit } from '../history/recommit.ts';

/**
 * Before this host continues the log of `snapshot` under a lease: commits the snapshot again under that epoch, so that what an earlier holder
 * commits from now on, asleep until then, does not count more than what is written here. Resolves to why the log is not this host's to
 * continue; undefined if it is.
 */
export async function rankLog(
  context: Context,
  view: LogView,
  snapshot: string,
  epoch: number,
): Promise<string | undefined> {
  const entry = view.snapshots.find(({ entry: { id } }) => id === snapshot)?.entry;
  const present = entry === undefined ? 0 : epochOf(entry);
  if (present === epoch) return undefined;
  if (present > epoch) return 'another host has taken the lease since';
  try {
    await recommit(context, view, { epoch, only: snapshot });
    return undefined;
  } catch (error) {
    if (!isSyncAgentError(error, 'REFUSED')) throw error;
    return 'another snapshot counts more';
  }
}
