import type { LogView } from '../../log/commit-log.ts';
import { totalBytes } from '../../log/manifest.ts';
import { spareHeap } from '../../platform/memory/spare-heap.ts';
import type { Manifest } from '../../log/manifest.ts';
import { isAncestor } from '../../log/retention.ts';
import type { PhaseTime } from '../../platform/events.ts';
import type { StoreUser } from '../../stores/capture/in-use.ts';
import { isDiskFull } from '../../platform/disk-space.ts';
import { stagingRoot } from '../../home/home.ts';
import { readJournal } from '../../home/journal.ts';
import type { ReplaceJournal } from '../../home/journal.ts';
import { noRemoteState } from '../../home/state.ts';
import type { RemoteState } from '../../home/state.ts';
import { giveUpLog, writeLogShipped } from '../../home/log-files.ts';
import { applyLog } from '../continuous/apply-log.ts';
import type { AppliedLog } from '../continuous/apply-log.ts';
import { isCommitDue, otherTips } from '../tips.ts';
import { inPhase } from '../context.ts';
import type { Context } from '../context.ts';
import type { Downloaded } from './download/download-files.ts';
import { cacheManifest } from '../known-manifests.ts';
import { parentRef } from '../lineage.ts';
import type { Lineage } from '../lineage.ts';
import { diskFull, spareBytes } from './disk-shortage.ts';
import { assertUnused, endsEarly, placeBeside, restorableContent } from './place-beside.ts';
import { assertReplacementFits, replaceStore } from './replace.ts';
import type { DamagedStore } from '../soundness/judge-store.ts';
import type { DownloadedSnapshot } from './download/download-snapshot.ts';
import { assertSound } from './download/inspection.ts';
import { lostSince, warnOfLoss } from './lost-writes.ts';
import type { Lost } from './lost-writes.ts';

export interface PlaceOptions {
  /** Keep no rollback copy, and replace in place if the disk cannot hold both stores. */
  readonly skipBackup?: boolean;
  /** Restore although a process has the store open. */
  readonly force?: boolean;
  /** The journal of an interrupted replacement, from `recover`: the store is incomplete. */
  readonly interrupted?: ReplaceJournal | undefined;
}

/** What this host says of the place of a store. */
export interface HostFacts {
  readonly users: readonly StoreUser[];
  readonly freeBytes: number;
}

export async function lookAtHost({ home, findStoreUsers, diskSpace }: Context): Promise<HostFacts> {
  const [users, { freeBytes }] = await Promise.all([findStoreUsers(home.store), diskSpace(home.store)]);
  return { users, freeBytes };
}

/** What `restore` decided. */
export interface Placement {
  /** If it was asked for meanwhile. */
  readonly host: Promise<HostFacts> | undefined;
  readonly view: LogView;
  readonly lineage: Lineage;
  readonly manifest: Manifest;
  readonly why: string;
  /** The present store, if it is damaged. */
  readonly damage: DamagedStore | undefined;
  readonly skipped: readonly string[];
  readonly options: PlaceOptions;
  /** A person chose the snapshot, or newer ones are damaged. */
  readonly isChosen: boolean;
  /** Present if what was written after the snapshot is restored too, as far as its log has it: up to a moment, if one is given. */
  readonly log?: { readonly untilMs: number | undefined };
}

interface Work extends Placement {
  /** The snapshot as committed. `manifest` is the part that counts as content on this host. */
  readonly commit: Manifest;
}

/** A snapshot that has replaced the store. */
export interface Restored {
  readonly type: 'restored';
  readonly id: string;
  readonly why: string;
  readonly files: number;
  readonly bytes: number;
  readonly records: number;
  readonly downloadedBytes: number;
  readonly reusedBytes: number;
  /** Name of the copy of the previous store; undefined if there was no store, or it was not kept. */
  readonly rollbackCopy: string | undefined;
  /** What the snapshot's log added. Absent if it has none. */
  readonly log?: AppliedLog;
  /** Newer snapshots that were damaged, with the reason. */
  readonly skipped: readonly string[];
  /** Tips that this snapshot does not build on and nobody has settled: the store does not have their changes. */
  readonly tips: readonly string[];
  /** Present if a damaged store was replaced: what no snapshot has. */
  readonly lost?: Lost;
  /** Where the time went, in the order in which the phases began. */
  readonly phases: readonly PhaseTime[];
}

/**
 * Replaces the store by a snapshot. If the disk holds both, the snapshot is built beside the store and swapped in. If not,
 * and if nothing is lost by it, the store's files are replaced one by one. BUSY if a process has the store open; DISK_FULL
 * says how much space is needed.
 */
export async function placeSnapshot(context: Context, given: Placement): Promise<Restored> {
  const { home } = context;
  spareHeap(given.manifest.files.length);
  const work: Work = {
    ...given,
    commit: given.manifest,
    manifest: await restorableContent(context, given.manifest, given.lineage.exists),
  };
  const { manifest, options, lineage } = work;
  const { users, freeBytes } = await (work.host ?? lookAtHost(context));
  await assertUnused(context, options.force ?? false, users);
  const isIncomplete = options.interrupted !== undefined;
  const mayReplace = isRollbackDeclined(work) || isIncomplete || isInRemote(work);
  const state = stateAfter(work);
  const tips = otherTips(work.view, manifest.id).filter((tip) => !state.settled.includes(tip));
  const lost = work.damage && lostSince(manifest, work.damage);
  const done = { why: work.why, skipped: work.skipped, tips, ...(lost === undefined ? {} : { lost }) };

  const needed = totalBytes(manifest.files);
  const inPlace =
    lineage.exists && work.damage === undefined
      ? { instead: 'use --skip-backup to replace the store in place without a rollback copy' }
      : {};
  if (!isIncomplete && freeBytes >= needed + spareBytes) {
    try {
      const { downloaded, rollbackCopy } = await restoreBeside(context, work, state);
      tell(context, manifest.id, tips);
      if (work.damage !== undefined && lost !== undefined)
        warnOfLoss(context, manifest.id, { damage: work.damage, lost });
      return {
        ...describe(context, manifest, downloaded),
        ...withLog(downloaded.log),
        ...done,
        rollbackCopy,
      };
    } catch (error) {
      // Once there is a journal, staging is the new store: only `recover` of the next run may touch it.
      if ((await readJournal(home)) !== undefined) throw error;
      await context.fs.remove(stagingRoot(home));
      // The disk has a quota, or another process took the space that was free.
      const isFull = isDiskFull(error);
      if (!isFull || !lineage.exists || !mayReplace)
        throw isFull
          ? diskFull(manifest, { freeBytes, where: 'by count, but a write failed', ...inPlace })
          : error;
    }
  } else if (!mayReplace || !lineage.exists) {
    if (!isIncomplete)
      throw diskFull(manifest, { freeBytes, spareBytes, where: `at "${home.store}"`, ...inPlace });
  }
  if (!isIncomplete) {
    context.emit({
      type: 'warning',
      code: 'NOTICE',
      message: `The disk cannot hold the old and the new store together: replacing in place, without a rollback copy`,
    });
  }
  await assertReplacementFits(context, manifest);
  await cacheManifest(context, work.commit);
  const replaced = await inPhase(context, 'download', () =>
    replaceStore(context, manifest, { state, isCommitDue: isCommitDue(work.view, state) }),
  );
  const log = work.log && (await applyLog(context, work.commit, home.store, work.log));
  await assertSound(context, manifest, home.store, { hasChanged: (log?.segments ?? 0) > 0 });
  await recordLog(context, work, log);
  tell(context, manifest.id, tips);
  return { ...describe(context, manifest, replaced), ...withLog(log), ...done, rollbackCopy: undefined };
}

function tell({ home, emit, phases }: Context, id: string, tips: readonly string[]): void {
  emit({ type: 'restored', id, store: home.store });
  emit({ type: 'phases', phases: phases.list() });
  if (tips.length > 0) emit({ type: 'diverged', tips: [...tips, id] });
}

async function restoreBeside(
  context: Context,
  work: Work,
  state: RemoteState,
): Promise<{ readonly downloaded: DownloadedSnapshot; readonly rollbackCopy: string | undefined }> {
  const { lineage, damage, options } = work;
  const placed = await placeBeside(context, {
    manifest: work.manifest,
    replaces: lineage.exists,
    reuseFrom: lineage.exists ? context.home.store : undefined,
    force: options.force ?? false,
    keepRollback: !isRollbackDeclined(work),
    // A damaged store may be the only copy of the last writes.
    rollbackCopies: Math.max(damage === undefined ? 0 : 1, context.settings.rollbackCopies),
    commit: work.commit,
    parent: state.parent,
    settled: state.settled,
    isCommitDue: isCommitDue(work.view, state),
    ...(work.log === undefined ? {} : { log: work.log }),
  });
  await recordLog(context, work, placed.downloaded.log);
  return placed;
}

const withLog = (log: AppliedLog | undefined): { readonly log?: AppliedLog } =>
  log === undefined ? {} : { log };

/** How much of the log the store has, so that the next start need not read it. */
async function recordLog({ fs, home }: Context, work: Placement, log: AppliedLog | undefined): Promise<void> {
  const { id, position: own } = work.manifest;
  if (own !== undefined && endsEarly(work.log)) return giveUpLog(fs, home);
  if (log === undefined) return;
  const { segments, position } = log;
  await writeLogShipped(fs, home, { snapshot: id, number: segments, position });
}

/** A damaged store is always kept: it may be the only copy of the last writes. */
function isRollbackDeclined({ options, damage }: Placement): boolean {
  return damage === undefined && options.skipBackup === true;
}

/** Whether a live snapshot has the store's content, so that replacing the store loses nothing. */
function isInRemote({ lineage, view }: Placement): boolean {
  return lineage.isUnchanged && view.snapshots.some(({ entry }) => entry.id === lineage.parent);
}

/**
 * To restore the snapshot that a damaged one grew from is a choice between the two: the damaged one is settled. Other tips
 * are another host's work, and stay a divergence.
 */
function stateAfter({ view, manifest, lineage, isChosen }: Placement): RemoteState {
  const entries = view.snapshots.map(({ entry }) => entry);
  const entry = entries.find(({ id }) => id === manifest.id);
  const isPassedOver = (tip: string): boolean =>
    entries.some(({ id, damaged }) => id === tip && damaged === true) &&
    isAncestor(entries, manifest.id, tip);
  return {
    ...noRemoteState,
    createOnly: lineage.state.createOnly,
    parent: entry === undefined ? null : parentRef(view, entry),
    settled: otherTips(view, manifest.id).filter((tip) => isChosen || isPassedOver(tip)),
  };
}

function describe({ phases }: Context, manifest: Manifest, { downloadedBytes, reusedBytes }: Downloaded) {
  return {
    type: 'restored' as const,
    id: manifest.id,
    files: manifest.files.length,
    bytes: totalBytes(manifest.files),
    records: manifest.statistics.records,
    downloadedBytes,
    reusedBytes,
    phases: phases.list(),
  };
}
