import { stat } from 'node:fs/promises';
import { SyncAgentError } from '../../platform/errors.ts';
import { makeSnapshotId } from '../../log/layout.ts';
import type { Manifest } from '../../log/manifest.ts';
import { assertExclusionsFitSnapshot } from '../../stores/content/exclusions-fit.ts';
import { stagedData } from '../../home/home.ts';
import { hasRollbackCopy } from '../../home/rollback-copies.ts';
import { emptyScan, scanStore } from '../../stores/content/scan.ts';
import { swapIn } from '../../home/swap.ts';
import type { SwapRequest } from '../../home/swap.ts';
import { usersText } from '../../stores/capture/in-use.ts';
import type { StoreUser } from '../../stores/capture/in-use.ts';
import { inPhase, newAttempt } from '../context.ts';
import type { Context } from '../context.ts';
import { cacheManifest } from '../known-manifests.ts';
import { snapshotContent } from '../snapshot-content.ts';
import type { ContentReader } from './download/download-files.ts';
import { downloadSnapshot } from './download/download-snapshot.ts';
import type { DownloadedSnapshot } from './download/download-snapshot.ts';

export interface BesideWork extends Pick<
  SwapRequest,
  'keepRollback' | 'rollbackCopies' | 'parent' | 'settled' | 'isCommitDue' | 'continues'
> {
  /** What counts as content on this host: see `restorableContent`. */
  readonly manifest: Manifest;
  /** Where the bytes come from; default: the remote. */
  readonly reader?: ContentReader | undefined;
  /** There is a store. */
  readonly replaces: boolean;
  readonly reuseFrom: string | undefined;
  /** Replaces a store that a process has open. */
  readonly force: boolean;
  /** The commit of `parent`, to be kept on this host. */
  readonly commit: Manifest | undefined;
  /** Present if what was written after the snapshot is restored too, as far as its log has it: up to a moment, if one is given. */
  readonly log?: { readonly untilMs: number | undefined };
}

/**
 * Builds a snapshot beside the store: every byte verified, the database checked, all on disk. Then it swaps it in. A crash before the swap leaves
 * the old store and staging, which the next run sweeps; for the swap see `SwapRequest`.
 */
export async function placeBeside(
  context: Context,
  work: BesideWork,
): Promise<{ readonly downloaded: DownloadedSnapshot; readonly rollbackCopy: string | undefined }> {
  const { home, fs, clock, remoteId } = context;
  const { manifest, reader, replaces, reuseFrom, commit, force, log, isCommitDue, ...swap } = work;
  const attempt = newAttempt();
  const data = stagedData(home, attempt);
  const wanted = log === undefined || commit === undefined ? {} : { log: { of: commit, ...log } };
  const downloaded = await downloadSnapshot(context, {
    manifest,
    data,
    attempt,
    reuseFrom,
    reader,
    ...wanted,
  });
  if (replaces && home.swap === 'rename')
    await fs.setAttributes(data, { mode: (await stat(home.store)).mode & 0o7777 });
  if (commit !== undefined) await cacheManifest(context, commit);
  await assertUnused(context, force);
  const rollback = makeSnapshotId(clock.now(), clock.randomHex(4));
  await inPhase(context, 'swap', () =>
    swapIn(fs, home, {
      from: { type: 'staging', name: attempt },
      rollback,
      location: remoteId,
      ...swap,
      // With its log, the store is not what the snapshot is.
      isCommitDue: isCommitDue || (downloaded.log?.segments ?? 0) > 0,
      ...(commit?.position !== undefined && endsEarly(log) ? { givesUpLog: true } : {}),
    }),
  );
  return {
    downloaded,
    rollbackCopy: (await hasRollbackCopy(home, rollback)) ? rollback : undefined,
  };
}

/** A person chose a moment, or a snapshot as it is: what was written after it is not to come back by itself. */
export const endsEarly = (log: BesideWork['log']): boolean => log?.untilMs !== undefined || log === undefined;

/** Excluded files stay as they are, even if the snapshot has them. `exists`: there is a store. */
export async function restorableContent(
  { home }: Context,
  manifest: Manifest,
  exists: boolean,
): Promise<Manifest> {
  const { leftAlone } = exists ? await scanStore(home.store, home.exclude) : emptyScan;
  assertExclusionsFitSnapshot(manifest, home.exclude);
  return snapshotContent(manifest, home.exclude, leftAlone);
}

/** `users`: who has the store open, if somebody has looked just now. */
export async function assertUnused(
  context: Context,
  force: boolean,
  users?: readonly StoreUser[],
): Promise<void> {
  users ??= await context.findStoreUsers(context.home.store);
  if (users.length === 0) return;
  const names = usersText(users);
  if (!force) {
    throw new SyncAgentError('BUSY', `Cannot restore "${context.home.store}": ${names} has it open`, {
      remedy: 'Stop it first; --force restores anyway, and what it writes then is lost',
    });
  }
  context.emit({ type: 'warning', code: 'BUSY', message: `Restoring although ${names} has the store open` });
}
