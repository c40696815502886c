import { isSyncAgentError } from '../../platform/errors.ts';
import { assertLogWhole, writeCopy } from '../../log/commit-copies.ts';
import { readLog } from '../../log/commit-log.ts';
import { probeCreateOnly } from '../../log/create-only.ts';
import type { LogView } from '../../log/commit-log.ts';
import { makeSnapshotId } from '../../log/layout.ts';
import type { Manifest } from '../../log/manifest.ts';
import { commitSnapshot } from '../backup/commit.ts';
import type { CommitWork, Committed } from '../backup/commit.ts';
import type { Context } from '../context.ts';
import { newestManifest } from '../remote-log.ts';

/**
 * What is live, settled and pinned is said by the newest commit, so a change of it is a commit: the newest snapshot
 * again, under a new number. Undefined when there is none.
 */
export async function recommit(
  context: Context,
  view: LogView,
  work: Pick<CommitWork, 'retain' | 'resolve' | 'pins'>,
): Promise<Committed | undefined> {
  const { clock, remote, settings, signal } = context;
  const { head } = view;
  if (head === undefined) return undefined;
  const readAgain = (): Promise<LogView> => readLog(context, { signal });
  await assertLogWhole(remote, view, { signal, readAgain });
  const createOnly = await probeCreateOnly(remote, makeSnapshotId(clock.now(), clock.randomHex(4)), {
    graceMs: settings.graceMs,
    signal,
  });
  const uploadId = clock.randomHex(16);
  const committed = await commitSnapshot(context, {
    ...work,
    draft: async (current) => {
      // What is recommitted must be what no rule drops. The head need not be: a host that lost its lease made it.
      const newest = (await newestManifest(context, current)) ?? current.head ?? head;
      const { generation: _, log: __, resolved: ___, pins: ____, ...draft } = newest;
      return { ...draft, uploadId, ...firstCommit(current, newest.id) };
    },
    view,
    createOnly: createOnly !== 'rejected',
    startedAt: view.serverTime,
    lastServerTime: undefined,
  });
  await copyCommit(context, committed, createOnly !== 'rejected');
  return committed;
}

/** The commit stands without its copy, and the next backup writes the one that is missing. */
async function copyCommit(
  { remote, signal, emit }: Context,
  { manifest }: Committed,
  createOnly: boolean,
): Promise<void> {
  try {
    await writeCopy(remote, manifest, { createOnly, signal });
  } catch (error) {
    if (!isSyncAgentError(error) || error.code === 'INTERRUPTED') throw error;
    const message = `The change is committed, but its commit could not be copied: ${error.message}`;
    emit({ type: 'warning', code: error.code, message, remedy: 'The next backup does it again' });
  }
}

/** Its age goes on: by the server's clock, not by that of the host it came from, which may be wrong. */
function firstCommit(view: LogView, id: string): Pick<Manifest, 'committedAt'> {
  const ageMs = view.snapshots.find(({ entry }) => entry.id === id)?.ageMs;
  return ageMs === undefined
    ? {}
    : { committedAt: new Date(view.serverTime.getTime() - ageMs).toISOString() };
}
