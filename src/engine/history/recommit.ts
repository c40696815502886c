import { SyncAgentError, isSyncAgentError } from '../../platform/errors.ts';
import { assertLogWhole, writeCommitCopy } from '../../log/commit-copies.ts';
import { readLog } from '../../log/commit-log.ts';
import { probeCreateOnly } from '../../log/create-only.ts';
import type { LogView } from '../../log/commit-log.ts';
import { makeSnapshotId } from '../../log/layout.ts';
import type { Manifest } from '../../log/manifest.ts';
import { epochOf } from '../../log/precedence.ts';
import { planKeepingAll } from '../../log/retention.ts';
import { commitSnapshot, confirmCommit } from '../backup/commit.ts';
import type { CommitWork, Committed } from '../backup/commit.ts';
import type { Context } from '../context.ts';
import { newestManifest } from '../remote-log.ts';

/**
 * The newest commit says what is live, settled and pinned. To change that, the newest snapshot is committed again under a
 * new number. Undefined if there is no snapshot. Keeps all snapshots unless `retain` says otherwise.
 */
export async function recommit(
  context: Context,
  view: LogView,
  {
    epoch,
    only,
    retain = ({ snapshots }) => planKeepingAll(snapshots.map(({ entry }) => entry)),
    ...work
  }: Partial<Pick<CommitWork, 'retain'>> &
    Pick<CommitWork, 'resolve' | 'pins'> & {
      /** Raises its rank. REFUSED if it is higher already. */
      readonly epoch?: number;
      /** REFUSED if another snapshot is the newest. */
      readonly only?: string;
    },
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
  const created = await commitSnapshot(context, {
    ...work,
    retain,
    draft: async (current) => {
      // The newest snapshot is the one that no rule drops. The head can be another: a host that lost its lease made it.
      const newest = (await newestManifest(context, current)) ?? current.head ?? head;
      if (only !== undefined && newest.id !== only)
        throw new SyncAgentError(
          'REFUSED',
          `Cannot commit snapshot ${only} again: snapshot ${newest.id} counts more`,
        );
      // Another host took the number, and the lease.
      if (epoch !== undefined && epochOf(newest) > epoch)
        throw new SyncAgentError(
          'REFUSED',
          `Cannot commit snapshot ${newest.id} again under epoch ${epoch}: it has epoch ${epochOf(newest)}`,
        );
      const { generation: _, log: __, resolved: ___, pins: ____, ...draft } = newest;
      return {
        ...draft,
        uploadId,
        ...firstCommit(current, newest.id),
        ...(epoch === undefined ? {} : { epoch }),
      };
    },
    view,
    createOnly: createOnly !== 'rejected',
    startedAt: view.serverTime,
    lastServerTime: undefined,
  });
  const committed = await confirmCommit(context, created);
  await copyCommit(context, committed, createOnly !== 'rejected');
  return committed;
}

/** A commit counts without its copy. The next backup writes a missing one. */
async function copyCommit(
  { remote, signal, emit }: Context,
  { manifest }: Committed,
  createOnly: boolean,
): Promise<void> {
  try {
    await writeCommitCopy(remote, manifest, { createOnly, signal });
  } catch (error) {
    if (!isSyncAgentError(error) || error.code === 'INTERRUPTED') throw error;
    const message = `The change is committed, but its commit could not be copied: ${error.message}`;
    emit({ type: 'warning', code: error.code, message, remedy: 'The next backup does it again' });
  }
}

/** Keeps the snapshot's age, by the server's clock: the clock of the host that made it may be wrong. */
function firstCommit(view: LogView, id: string): Pick<Manifest, 'committedAt'> {
  const ageMs = view.snapshots.find(({ entry }) => entry.id === id)?.ageMs;
  return ageMs === undefined
    ? {}
    : { committedAt: new Date(view.serverTime.getTime() - ageMs).toISOString() };
}
