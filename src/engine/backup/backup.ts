import { SyncAgentError } from '../../platform/errors.ts';
import type { LogView } from '../../log/commit-log.ts';
import { assertExclusionsFitStore } from '../../stores/content/exclusions-fit.ts';
import { noExclusions } from '../../stores/content/exclusions.ts';
import { stagingRoot } from '../../home/home.ts';
import type { BackupOptions, BackupResult } from './backup-result.ts';
import { captureStore } from './capture-store.ts';
import type { StoreImage } from './capture-store.ts';
import { newAttempt } from '../context.ts';
import type { Context } from '../context.ts';
import { isCommitDue } from '../tips.ts';
import { findEmptied } from '../emptied-remote.ts';
import { readLineage, recordRemoteState } from '../lineage.ts';
import { newestManifest, readRemote } from '../remote-log.ts';
import type { Lineage } from '../lineage.ts';
import type { GivenView } from '../remote-log.ts';
import { makeSnapshot } from './make-snapshot.ts';
import { soonAfter, withoutCapture, withoutRequest } from './nothing-to-do.ts';
import { planBackup } from './plan-backup.ts';
import type { BackupPlan } from './plan-backup.ts';
import { contentHere, isWhole, lookAtBases, manifestBefore, parentManifest } from './previous-snapshots.ts';
import { stagingFailure } from './staging-failure.ts';

export type { BackupOptions, BackupResult } from './backup-result.ts';

/**
 * Makes one snapshot. The caller holds the store's lock and has finished an interrupted restore.
 *
 *     1 capture, validate, hash        crash: staging garbage, swept by the next run
 *       first backup: leave a mark     crash: the mark tells these objects from those of a lost log
 *     2 upload to history/<id>/        crash: garbage in the remote, swept by a later rotation
 *     3 local state: pending           crash: the same
 *     4 COMMIT: create commits/<n>     the snapshot exists; a crash after it loses nothing
 *     5 local state: new parent        crash before: the next run finds the pending id in the log
 *     6 copy of the commit             crash before: the next backup writes it
 *     7 current files, manifest.json   crash: nothing depends on them; the next backup mends them
 *     8 rotation                       crash: the next rotation goes on
 */
export async function backup(
  context: Context,
  { view: given, ...options }: BackupOptions & GivenView = {},
): Promise<BackupResult> {
  await assertExclusionsFit(context);
  const known = options.local === undefined ? undefined : await withoutRequest(context, options.local);
  if (known !== undefined) return known;
  const view = given ?? (await readRemote(context));
  const lineage = await readLineage(context, view);
  if (!lineage.exists) {
    throw new SyncAgentError('NOT_FOUND', `Cannot back up "${context.home.store}": there is no store`, {
      remedy: 'Check --store, or run "sync-agent restore" to get the newest snapshot',
    });
  }
  const emptied = options.force === true ? undefined : await findEmptied(context, view);
  if (emptied !== undefined) {
    const { why, remedy } = emptied;
    throw new SyncAgentError('REFUSED', `Cannot back up "${context.home.store}": ${why}`, { remedy });
  }
  // This host may have made the parent without learning that its commit succeeded.
  const early = withoutCapture(view, lineage, options);
  if (early?.type === 'unchanged') {
    if (await isWhole(context, view, early.id)) return early;
  } else {
    const tooSoon = early ?? soonAfter(context, lineage.parent, options.local?.minIntervalMs);
    if (tooSoon !== undefined) return tooSoon;
  }

  const attempt = newAttempt();
  try {
    const image = await captureStore(context, attempt, {
      base: () => manifestBefore(context, view, lineage),
      acceptDamage: options.acceptDamage ?? false,
    }).catch(async (error: unknown) => {
      throw await stagingFailure(context, error);
    });
    tellProblems(context, image);
    const newest = await newestManifest(context, view);
    const parent = await parentManifest(context, { view, lineage, image });
    const { isHeld, lost } = await lookAtBases(context, [newest, parent], image);
    const plan = planBackup({
      captured: image,
      parent: parent && contentHere(context, image, parent),
      newest: newest && contentHere(context, image, newest),
      force: options.force ?? false,
      isCommitDue: isCommitDue(view, lineage.state),
      // What can still be read of a damaged store says nothing about how much was in it.
      allowShrink: (options.allowShrink ?? false) || image.damage.length > 0,
      maxShrink: context.settings.maxShrink,
      isHeld,
      format: context.formats.current.number,
    });
    switch (plan.type) {
      case 'refuse':
        throw new SyncAgentError('REFUSED', `Cannot back up "${context.home.store}": ${plan.reason}`, {
          remedy:
            'If the loss is meant, use --allow-shrink; else "sync-agent restore --force" brings the snapshot back',
        });
      case 'unchanged': {
        const id = parent?.id ?? newest?.id ?? '';
        if (options.dryRun !== true) await recordUnchanged(context, view, lineage, image, id);
        return { type: 'unchanged', id };
      }
      case 'commit':
        if (options.dryRun === true) return describePlan(plan, image);
        return await makeSnapshot(context, {
          view,
          lineage,
          image,
          plan,
          parentId: parent?.id ?? (lineage.isParentLost ? newest?.id : lineage.parent) ?? null,
          lost,
          epoch: options.epoch,
        });
    }
  } finally {
    await context.fs.remove(stagingRoot(context.home));
  }
}

async function assertExclusionsFit({ home, detectAdapter }: Context): Promise<void> {
  const { store, exclude = noExclusions } = home;
  await assertExclusionsFitStore(store, { detectAdapter, exclude });
}

/** Every backup warns of every problem, until somebody mends it. */
function tellProblems({ emit }: Context, { damage, findings }: StoreImage): void {
  for (const { message, remedy } of [...damage, ...findings])
    emit({ type: 'warning', code: 'NOTICE', message, ...(remedy === undefined ? {} : { remedy }) });
}

async function recordUnchanged(
  context: Context,
  view: LogView,
  lineage: Lineage,
  image: StoreImage,
  id: string,
): Promise<void> {
  const entry = view.snapshots.find((each) => each.entry.id === id)?.entry;
  const commit = view.commits.find((each) => each.generation === entry?.generation);
  if (entry === undefined || commit === undefined) return;
  await recordRemoteState(context, {
    ...lineage.state,
    parent: { id, generation: entry.generation, lastModifiedMs: commit.lastModified.getTime() },
    fingerprint: image.fingerprint,
    pending: null,
  });
}

function describePlan(plan: Extract<BackupPlan, { type: 'commit' }>, image: StoreImage): BackupResult {
  return {
    type: 'planned',
    uploadFiles: plan.upload.length,
    uploadBytes: plan.uploadBytes,
    reuseFiles: plan.reuse.length,
    reuseBytes: plan.reuseBytes,
    records: image.statistics.records,
  };
}
