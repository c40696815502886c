import type { LogView } from '../../log/commit-log.ts';
import { begin } from '../../platform/concurrently.ts';
import type { Begun } from '../../platform/concurrently.ts';
import { SyncAgentError } from '../../platform/errors.ts';
import { spareHeap } from '../../platform/memory/spare-heap.ts';
import { assertExclusionsFitStore } from '../../stores/content/exclusions-fit.ts';
import { noExclusions } from '../../stores/content/exclusions.ts';
import { stagingRoot } from '../../home/home.ts';
import { assertLabel } from './label.ts';
import { backUpImage } from './back-up-image.ts';
import type { BackupOptions, BackupResult } from './backup-result.ts';
import { StoreCapture } from './image/capture-store.ts';
import type { StoreImage } from './image/capture-store.ts';
import { newAttempt } from '../context.ts';
import type { Context } from '../context.ts';
import { findEmptied } from '../emptied-remote.ts';
import { readKnownCommit } from '../known-manifests.ts';
import { readLineage } from '../lineage.ts';
import type { Lineage } from '../lineage.ts';
import { lookAtStore } from '../local-status.ts';
import type { StoreLook } from '../local-status.ts';
import { readRemote } from '../remote-log.ts';
import type { GivenView } from '../remote-log.ts';
import { isAnew, soonAfter, withoutCapture, withoutRequest } from './nothing-to-do.ts';
import { hasAllObjects, isWhole } from './previous-snapshots.ts';
import { tellUnusual } from './unusual.ts';

export type { BackupOptions, BackupResult } from './backup-result.ts';

/**
 * Makes one snapshot. The caller holds the store's lock and has finished an interrupted restore.
 *
 *     1 capture, or look at a store    crash: staging garbage, swept by the next run
 *       in which nobody works
 *       first backup: leave a mark     crash: the mark tells these objects from those of a lost log
 *     2 upload to history/<id>/        crash: garbage in the remote, swept by a later rotation
 *       meanwhile validate the image   unsound: what was uploaded is discarded, and another image taken
 *     3 local state: pending           crash: the same
 *     4 COMMIT: create commits/<n>     the snapshot exists; a crash after it loses nothing
 *     5 local state: new parent        crash before: the next run finds the pending id in the log
 *     6 copy of the commit             crash before: the next backup writes it
 *     7 current files, manifest.json   crash: nothing depends on them; the next backup mends them
 *     8 rotation                       crash: the next rotation goes on
 *
 * Steps 2 and 3 are taken side by side, and so are 5 to 8.
 */
export async function backup(
  context: Context,
  { view: given, ...options }: BackupOptions & GivenView = {},
): Promise<BackupResult> {
  assertLabel(options);
  const beganMs = context.clock.monotonic();
  await assertExclusionsFit(context);
  // An agent's store has writers, which it may not see: bytes would be uploaded in vain again and again.
  const capture = new StoreCapture(context, newAttempt(), { mayLie: options.local === undefined });
  let begun: Begun<StoreImage> | undefined;
  try {
    const start = await decide(context, {
      view: given,
      options,
      onLook: (look) => {
        if (isWorthBeginning({ view: given, ...options }, look))
          begun = begin(context.signal, (signal) => capture.take(signal, look));
      },
    });
    if ('type' in start) return start;
    let image = await (begun?.result ?? capture.take(context.signal));
    for (;;) {
      const result = await backUpImage(context, { ...start, image, options, tries: capture.tries });
      if (result === 'again') {
        image = await capture.take(context.signal);
        continue;
      }
      if (result.type !== 'committed') return result;
      const tookMs = context.clock.monotonic() - beganMs;
      return await tellUnusual(context, start.view, { result, tookMs });
    }
  } finally {
    await begun?.cancel();
    if (capture.tries > 0) await context.fs.remove(stagingRoot(context.home));
  }
}

/**
 * Looks at the store, reads the log, and decides whether there is something to back up, as far as that can be told without an
 * image. The look at each file, which is large, is not kept.
 */
async function decide(
  context: Context,
  {
    view: given,
    options,
    onLook,
  }: GivenView & { readonly options: BackupOptions; readonly onLook: (look: StoreLook) => void },
): Promise<BackupResult | { readonly view: LogView; readonly lineage: Lineage }> {
  const look = await lookAtStore(context);
  const local = withoutRequest(context, look, options);
  if (local !== undefined) return local;
  spareHeap(look.scan?.files.length ?? 0);
  onLook(look);
  // Most often an unchanged store is still in step with the remote. Its snapshot is looked at while the log is read.
  const isLikely = given === undefined && look.isUnchanged && !isAnew(options, undefined);
  const known = isLikely ? await readKnownCommit(context) : undefined;
  const looked =
    known && begin(context.signal, (signal) => hasAllObjects({ ...context, signal }, known.manifest));
  try {
    const view = given ?? (await readRemote(context, { isProbablyNew: !look.knowsRemote, known }));
    const isParentWhole = async (id: string): Promise<boolean> =>
      (id === known?.manifest.id && (await looked?.result)) || isWhole(context, view, id);
    return await decideByLog(context, { view, options, look, isParentWhole });
  } finally {
    await looked?.cancel();
  }
}

/** The same, with a look at the store and the log. `isParentWhole`: whether all of the snapshot that the store equals is there. */
async function decideByLog(
  context: Context,
  {
    view,
    options,
    look,
    isParentWhole,
  }: {
    readonly view: LogView;
    readonly options: BackupOptions;
    readonly look: StoreLook;
    readonly isParentWhole: (id: string) => Promise<boolean>;
  },
): Promise<BackupResult | { readonly view: LogView; readonly lineage: Lineage }> {
  const lineage = await readLineage(context, view, look.scan);
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
    if (await isParentWhole(early.id)) return early;
  } else {
    const tooSoon = early ?? soonAfter(context, lineage.parent, options.local?.minIntervalMs);
    if (tooSoon !== undefined) return tooSoon;
  }
  return { view, lineage };
}

/**
 * Whether to capture the store while the remote is still being asked: somebody waits for a backup that will very likely be
 * made. An agent does not: while its remote is out of reach, each attempt would copy the store for nothing.
 */
function isWorthBeginning(
  { view, local, minIntervalMs }: BackupOptions & GivenView,
  { exists, isUnchanged }: StoreLook,
): boolean {
  return view === undefined && local === undefined && minIntervalMs === undefined && exists && !isUnchanged;
}

async function assertExclusionsFit({ home, detectAdapter }: Context): Promise<void> {
  const { store, exclude = noExclusions } = home;
  await assertExclusionsFitStore(store, { detectAdapter, exclude });
}
