import { stat } from 'node:fs/promises';
import { SyncAgentError, isSyncAgentError } from '../errors.ts';
import type { LogView } from '../snapshot/commit-log.ts';

import type { LogEntry, Manifest } from '../snapshot/manifest.ts';
import { makeSnapshotId } from '../snapshot/layout.ts';
import { totalBytes } from '../snapshot/manifest.ts';
import { unresolvedTips } from '../snapshot/retention.ts';
import { isDiskFull } from '../store/disk-space.ts';
import { stagingRoot } from '../store/home.ts';
import { readJournal } from '../store/journal.ts';
import type { ReplaceJournal } from '../store/journal.ts';
import { noRemoteState } from '../store/state.ts';
import type { RemoteState } from '../store/state.ts';
import { stagedData, swapIn } from '../store/swap.ts';
import { enterPhase, newAttempt } from './context.ts';
import { chooseSnapshot, noSuchSnapshot } from './choose-snapshot.ts';
import type { Context } from './context.ts';

import type { Downloaded } from './download.ts';
import { cacheManifest, manifestOf, readLineage, readRemote, recordRemoteState } from './lineage.ts';
import type { Lineage } from './lineage.ts';
import { describeUnknownStore } from './unknown-store.ts';
import { planRestore } from './plan-restore.ts';
import type { RestoreFacts, RestorePlan } from './plan-restore.ts';
import { assertSound, stageSnapshot } from './stage-snapshot.ts';
import { assertReplacementFits, diskFull, replaceStore, spareBytes } from './replace.ts';

export interface RestoreOptions {
  /** A snapshot id, a unique beginning of one, `~N` (N before the newest), or `latest`. Default: the newest. */
  readonly snapshot?: string;
  /** No rollback copy; replace in place where the disk cannot hold both. */
  readonly skipBackup?: boolean;
  /** Restore although the local store has something newer, or is in use. */
  readonly force?: boolean;
  readonly dryRun?: boolean;
  /** The journal of an interrupted replacement, from `recover`: the store is incomplete. */
  readonly interrupted?: ReplaceJournal | undefined;
}

export type RestoreResult =
  | { readonly type: 'empty-remote' }
  | { readonly type: 'equal'; readonly id: string }
  | { readonly type: 'ahead'; readonly id: string; readonly why: string }
  | { readonly type: 'diverged'; readonly id: string; readonly why: string; readonly tips: readonly string[] }
  | {
      readonly type: 'planned';
      readonly id: string;
      readonly why: string;
      readonly bytes: number;
      readonly files: number;
    }
  | {
      readonly type: 'restored';
      readonly id: string;
      readonly why: string;
      readonly files: number;
      readonly bytes: number;
      readonly records: number;
      readonly downloadedBytes: number;
      readonly reusedBytes: number;
      /** Where the previous store is kept; undefined when there was none, or it was not kept. */
      readonly rollbackCopy: string | undefined;
      /** Newer snapshots that were damaged, with the reason. */
      readonly skipped: readonly string[];
    };

/**
 * Puts the right snapshot in the place of the local store, or leaves it alone. The caller holds the store's lock and
 * has called `recover`. Until the swap (see `swap.ts`) nothing but staging is written, so a crash costs a download.
 */
export async function restore(context: Context, options: RestoreOptions = {}): Promise<RestoreResult> {
  const view = await readRemote(context);
  const skipped = view.damaged.map(({ error }) => error.message);
  if (view.snapshots.length === 0) {
    if (view.damaged.length > 0) throw view.damaged[0]?.error ?? new Error('unreachable');
    if (options.snapshot !== undefined && options.snapshot !== 'latest')
      throw noSuchSnapshot(options.snapshot, []);
    if (options.interrupted !== undefined) throw incomplete(context, 'the remote holds no snapshot');
    return { type: 'empty-remote' };
  }
  warnSkipped(context, skipped);
  const entries = view.snapshots.map(({ entry }) => entry);
  const named = options.snapshot !== undefined && options.snapshot !== 'latest';
  const interrupted = entries.find((entry) => entry.id === options.interrupted?.snapshot);
  const target = chooseSnapshot(entries, options.snapshot ?? interrupted?.id);
  const lineage = await readLineage(context, view);
  const passedOver: string[] = [];
  const local = await localFacts(context, view, lineage, options);

  for (const candidate of entries.slice(0, entries.indexOf(target) + 1).toReversed()) {
    const plan = planRestore({
      snapshots: entries,
      target: candidate,
      local,
      isNamed: named,
      force: options.force ?? false,
    });
    if (plan.type !== 'restore') return await leaveAlone(context, view, lineage, { candidate, plan });
    try {
      const manifest = await manifestOf(context, view, candidate);
      if (options.dryRun === true) return planned(manifest, plan.why);
      return await carryOut(context, {
        view,
        lineage,
        manifest,
        why: plan.why,
        skipped,
        options,
        isChosen: named || passedOver.length > 0 || options.force === true,
      });
    } catch (error) {
      if (named || !isSyncAgentError(error, 'SNAPSHOT_CORRUPT')) throw error;
      if (await hasMovedOn(context, view)) return await restore(context, options);
      skipped.push(error.message);
      passedOver.push(candidate.id);
      warnSkipped(context, [error.message]);
    }
  }
  throw new SyncAgentError('SNAPSHOT_CORRUPT', `Cannot restore any snapshot: ${skipped.join('; ')}`, {
    remedy: 'Run "sync-agent verify --all --read-data" to see what is damaged',
  });
}

/** What is missing may have been rotated away by others: then the log tells of newer snapshots. */
async function hasMovedOn(context: Context, view: LogView): Promise<boolean> {
  return (await readRemote(context)).head?.generation !== view.head?.generation;
}

interface Work {
  readonly view: LogView;
  readonly lineage: Lineage;
  readonly manifest: Manifest;
  readonly why: string;
  readonly skipped: readonly string[];
  readonly options: RestoreOptions;
  /** The newest snapshot was not simply taken: a person chose, or newer ones are damaged. */
  readonly isChosen: boolean;
}

async function carryOut(context: Context, work: Work): Promise<RestoreResult> {
  const { home } = context;
  const { manifest, options, lineage } = work;
  await assertUnused(context, options.force ?? false);
  const isIncomplete = options.interrupted !== undefined;
  const mayReplace = (options.skipBackup ?? false) || isIncomplete || isInRemote(work);
  const state = stateAfter(work);
  const done = { why: work.why, skipped: work.skipped };

  const needed = totalBytes(manifest.files);
  const { freeBytes } = await context.diskSpace(home.store);
  if (!isIncomplete && freeBytes >= needed + spareBytes) {
    try {
      const { downloaded, rollbackCopy } = await restoreBeside(context, work, state);
      return { ...describe(manifest, downloaded), ...done, rollbackCopy };
    } catch (error) {
      // From the journal on, staging is the new store: only the next run's `recover` may touch it.
      if ((await readJournal(home)) !== undefined) throw error;
      await context.fs.remove(stagingRoot(home));
      // A quota, or somebody else, took the space that seemed free.
      const isFull = isDiskFull(error);
      if (!isFull || !lineage.exists || !mayReplace)
        throw isFull ? diskFull(manifest, needed, freeBytes, 'by count, but a write failed') : error;
    }
  } else if (!mayReplace || !lineage.exists) {
    if (!isIncomplete)
      throw diskFull(manifest, needed, Math.max(0, freeBytes - spareBytes), `at "${home.store}"`);
  }
  if (!isIncomplete) {
    context.emit({
      type: 'warning',
      code: 'NOTICE',
      message: `The disk cannot hold the old and the new store together: replacing in place, without a rollback copy`,
    });
  }
  await assertReplacementFits(context, manifest);
  await cacheManifest(context, manifest);
  enterPhase(context, 'download');
  const replaced = await replaceStore(context, manifest, state);
  await assertSound(context, manifest, home.store);
  context.emit({ type: 'restored', id: manifest.id, store: home.store });
  return { ...describe(manifest, replaced), ...done, rollbackCopy: undefined };
}

async function restoreBeside(
  context: Context,
  work: Work,
  state: RemoteState,
): Promise<{ readonly downloaded: Downloaded; readonly rollbackCopy: string | undefined }> {
  const { home, fs, clock, settings } = context;
  const attempt = newAttempt();
  const data = stagedData(home, attempt);
  const downloaded = await stageSnapshot(context, {
    manifest: work.manifest,
    data,
    attempt,
    reuseFrom: work.lineage.exists ? home.store : undefined,
  });
  if (work.lineage.exists && home.swap === 'rename')
    await fs.setAttributes(data, { mode: (await stat(home.store)).mode & 0o777 });
  await cacheManifest(context, work.manifest);
  enterPhase(context, 'swap');
  await assertUnused(context, work.options.force ?? false);
  const rollback = makeSnapshotId(clock.now(), clock.randomHex(4));
  const keepRollback = work.options.skipBackup !== true;
  await swapIn(fs, home, {
    from: { type: 'staging', name: attempt },
    rollback,
    keepRollback,
    rollbackCopies: settings.rollbackCopies,
    location: context.remoteId,
    parent: state.parent,
    settled: state.settled,
  });
  context.emit({ type: 'restored', id: work.manifest.id, store: home.store });
  return {
    downloaded,
    rollbackCopy: keepRollback && work.lineage.exists && settings.rollbackCopies > 0 ? rollback : undefined,
  };
}

async function leaveAlone(
  context: Context,
  view: LogView,
  lineage: Lineage,
  {
    candidate,
    plan,
  }: { readonly candidate: LogEntry; readonly plan: Exclude<RestorePlan, { type: 'restore' }> },
): Promise<RestoreResult> {
  switch (plan.type) {
    case 'equal':
      if (lineage.parent === undefined) {
        const state = { ...noRemoteState, parent: commitRef(view, candidate) };
        await recordRemoteState(context, state);
      }
      return { type: 'equal', id: candidate.id };
    case 'ahead':
      return { type: 'ahead', id: candidate.id, why: plan.why };
    case 'diverged': {
      const tips = unresolvedTips(
        view.snapshots.map(({ entry }) => entry),
        view.head?.resolved ?? [],
      );
      context.emit({ type: 'diverged', tips: tips.map((tip) => tip.id) });
      return { type: 'diverged', id: candidate.id, why: plan.why, tips: tips.map((tip) => tip.id) };
    }
  }
}

async function localFacts(
  context: Context,
  view: LogView,
  lineage: Lineage,
  options: RestoreOptions,
): Promise<RestoreFacts['local']> {
  if (!lineage.exists || options.interrupted !== undefined) return { type: 'missing' };
  if (lineage.parent !== undefined) {
    const { parent, isUnchanged, state } = lineage;
    return { type: 'known', parent, isUnchanged, settled: state.settled };
  }
  return describeUnknownStore(context, view);
}

/** Whether nothing would be lost with the local store: its content is a live snapshot's. */
function isInRemote({ lineage, view }: Work): boolean {
  return lineage.isUnchanged && view.snapshots.some(({ entry }) => entry.id === lineage.parent);
}

function stateAfter({ view, manifest, lineage, isChosen }: Work): RemoteState {
  const tips = unresolvedTips(
    view.snapshots.map((each) => each.entry),
    view.head?.resolved ?? [],
  );
  const entry = view.snapshots.find((each) => each.entry.id === manifest.id)?.entry;
  return {
    ...noRemoteState,
    createOnly: lineage.state.createOnly,
    parent: entry === undefined ? null : commitRef(view, entry),
    settled: isChosen ? tips.map((tip) => tip.id).filter((id) => id !== manifest.id) : [],
  };
}

function commitRef(view: LogView, entry: LogEntry): RemoteState['parent'] {
  const commit = view.commits.find(({ generation }) => generation === entry.generation);
  return { id: entry.id, generation: entry.generation, lastModifiedMs: commit?.lastModified.getTime() ?? 0 };
}

async function assertUnused(context: Context, force: boolean): Promise<void> {
  const users = await context.findStoreUsers(context.home.store);
  if (users.length === 0) return;
  const names = users.map(({ pid, command }) => `pid ${pid} (${command.slice(0, 120)})`).join(', ');
  if (!force) {
    throw new SyncAgentError('BUSY', `Cannot restore "${context.home.store}": ${names} has it open`, {
      remedy: 'Stop it first; --force restores anyway, and what it writes then is lost',
    });
  }
  context.emit({ type: 'warning', code: 'BUSY', message: `Restoring although ${names} has the store open` });
}

function incomplete(context: Context, why: string): SyncAgentError {
  return new SyncAgentError(
    'STORE_CORRUPT',
    `Cannot finish the interrupted restore of "${context.home.store}": ${why}`,
  );
}

function warnSkipped(context: Context, messages: readonly string[]): void {
  for (const message of messages) {
    context.emit({
      type: 'warning',
      code: 'SNAPSHOT_CORRUPT',
      message,
      remedy: 'Trying the next older snapshot',
    });
  }
}

function planned(manifest: Manifest, why: string): RestoreResult {
  return {
    type: 'planned',
    id: manifest.id,
    why,
    bytes: totalBytes(manifest.files),
    files: manifest.files.length,
  };
}

function describe(manifest: Manifest, { downloadedBytes, reusedBytes }: Downloaded) {
  return {
    type: 'restored' as const,
    id: manifest.id,
    files: manifest.files.length,
    bytes: totalBytes(manifest.files),
    records: manifest.statistics.records,
    downloadedBytes,
    reusedBytes,
  };
}
