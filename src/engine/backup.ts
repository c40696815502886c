import { lstat } from 'node:fs/promises';
import { errnoOf, messageOf, SyncAgentError } from '../errors.ts';
import { probeCreateOnly } from '../snapshot/commit-log.ts';
import type { LogView } from '../snapshot/commit-log.ts';
import { epochMsOf, makeSnapshotId } from '../snapshot/layout.ts';
import { totalBytes } from '../snapshot/manifest.ts';
import type { Manifest } from '../snapshot/manifest.ts';
import { stampOf } from '../snapshot/precedence.ts';
import { isDiskFull } from '../store/disk-space.ts';
import { stagingRoot } from '../store/home.ts';
import { scanStore } from '../store/scan.ts';
import { commitSnapshot } from './commit.ts';
import { enterPhase, newAttempt } from './context.ts';
import type { Context } from './context.ts';
import { divergedTips, isFenced } from './diverged.ts';
import {
  cacheManifest,
  manifestIfReadable,
  newestManifest,
  readLineage,
  readRemote,
  recordRemoteState,
} from './lineage.ts';
import type { Lineage } from './lineage.ts';
import { lookLocally } from './look.ts';
import { hasContentOf, planBackup } from './plan-backup.ts';
import type { BackupPlan } from './plan-backup.ts';
import { publishCurrent } from './publish.ts';
import { rotate } from './rotate.ts';
import { stageStore } from './stage.ts';
import type { StagedStore } from './stage.ts';
import { uploadSnapshot } from './upload.ts';

export interface BackupOptions {
  /** Back up even when nothing changed or the interval has not passed. */
  readonly force?: boolean;
  /** Commit a store that lost most of its content. */
  readonly allowShrink?: boolean;
  /** Leave the remote alone while its newest snapshot is younger, milliseconds. */
  readonly minIntervalMs?: number;
  /**
   * Believe the local record, so that it costs no request, when it says that nothing was written since the store's
   * parent, or that the parent itself is younger than `minIntervalMs`.
   */
  readonly local?: { readonly minIntervalMs: number };
  /** Capture, validate and compare, but change nothing in the remote. */
  readonly dryRun?: boolean;
  /** That of the lease this host has, or had: `Lease.epoch`. */
  readonly epoch?: number;
}

export type BackupResult =
  | { readonly type: 'unchanged'; readonly id: string }
  | { readonly type: 'too-soon'; readonly id: string; readonly ageMs: number }
  | {
      readonly type: 'planned';
      readonly uploadFiles: number;
      readonly uploadBytes: number;
      readonly reuseFiles: number;
      readonly reuseBytes: number;
      readonly records: number;
    }
  | {
      readonly type: 'committed';
      readonly id: string;
      readonly generation: number;
      readonly parent: string | null;
      readonly files: number;
      readonly bytes: number;
      readonly records: number;
      readonly uploadBytes: number;
      readonly reuseBytes: number;
      readonly heldMs: number;
      readonly longestHoldMs: number;
      /** Tips, when there is more than one: hosts wrote beside each other. */
      readonly diverged: readonly string[];
      /** This host lost its lease: the snapshot is kept, and the next holder's stays the newest. */
      readonly isFenced: boolean;
      readonly dropped: readonly string[];
    };

/**
 * Makes one snapshot. The caller holds the store's lock and has finished an interrupted restore.
 *
 *     1 capture, validate, hash        crash: staging garbage, swept by the next run
 *     2 upload to history/<id>/        crash: garbage in the remote, swept by a later rotation
 *     3 local state: pending           crash: the same
 *     4 COMMIT: create commits/<n>     the snapshot exists; a crash after it loses nothing
 *     5 local state: new parent        crash before: the next run finds the pending id in the log
 *     6 current files, manifest.json   crash: readers do not use them; the next backup mends them
 *     7 rotation                       crash: the next rotation goes on
 */
export async function backup(context: Context, options: BackupOptions = {}): Promise<BackupResult> {
  const known = options.local === undefined ? undefined : await withoutRequest(context, options.local);
  if (known !== undefined) return known;
  const view = await readRemote(context);
  const lineage = await readLineage(context, view);
  if (!lineage.exists) {
    throw new SyncAgentError('NOT_FOUND', `Cannot back up "${context.home.store}": there is no store`, {
      remedy: 'Check --store, or run "sync-agent restore" to get the newest snapshot',
    });
  }
  const early = withoutCapture(view, lineage, options) ?? afterUnrecordedCommit(context, lineage, options);
  if (early !== undefined) return early;

  const attempt = newAttempt();
  try {
    const staged = await stageStore(context, attempt).catch(async (error: unknown) => {
      throw await stagingFailure(context, error);
    });
    const newest = await newestManifest(context, view);
    const parent = await parentManifest(context, { view, lineage, staged, newest });
    const plan = planBackup({
      captured: staged,
      parent,
      newest,
      force: options.force ?? false,
      allowShrink: options.allowShrink ?? false,
      maxShrink: context.settings.maxShrink,
    });
    switch (plan.type) {
      case 'refuse':
        throw new SyncAgentError('REFUSED', `Cannot back up "${context.home.store}": ${plan.reason}`, {
          remedy:
            'If the loss is meant, use --allow-shrink; else "sync-agent restore --force" brings the snapshot back',
        });
      case 'unchanged': {
        const id = parent?.id ?? newest?.id ?? '';
        if (options.dryRun !== true) await recordUnchanged(context, view, lineage, staged, id);
        return { type: 'unchanged', id };
      }
      case 'commit':
        if (options.dryRun === true) return describePlan(plan, staged);
        return await carryOut(context, {
          view,
          lineage,
          staged,
          plan,
          parentId: parent?.id ?? lineage.parent ?? null,
          epoch: options.epoch,
        });
    }
  } finally {
    await context.fs.remove(stagingRoot(context.home));
  }
}

/** Nothing is lost when staging fails; the reader has to know what it takes. */
async function stagingFailure(context: Context, error: unknown): Promise<unknown> {
  const { home, fs, diskSpace } = context;
  const staging = stagingRoot(home);
  if (isDiskFull(error)) {
    await fs.remove(staging);
    const needed = totalBytes((await scanStore(home.store)).files);
    const { freeBytes } = await diskSpace(home.dir);
    const missing = needed > freeBytes ? `, ${needed - freeBytes} are missing` : '';
    return new SyncAgentError(
      'DISK_FULL',
      `Cannot back up "${home.store}": an image of it needs ${needed} bytes at "${home.dir}", ${freeBytes} are free${missing}: ${messageOf(error)}`,
      { remedy: 'Free some space there, or raise the quota, and run it again', cause: error },
    );
  }
  if (errnoOf(error) !== 'ENOENT' || (await exists(staging))) return error;
  return new SyncAgentError(
    'NOT_FOUND',
    `Cannot back up "${home.store}": its staging directory "${staging}" vanished`,
    { remedy: 'Let nothing else write there, and run it again', cause: error },
  );
}

const exists = (path: string): Promise<boolean> =>
  lstat(path).then(
    () => true,
    () => false,
  );

/** What the local record alone can say. */
async function withoutRequest(
  context: Context,
  { minIntervalMs }: NonNullable<BackupOptions['local']>,
): Promise<BackupResult | undefined> {
  const { parent, isUnchanged } = await lookLocally(context);
  if (parent === undefined) return undefined;
  if (isUnchanged) return { type: 'unchanged', id: parent };
  return tooSoonAfter(context, parent, minIntervalMs);
}

/** The log may name as the parent a snapshot whose maker died before it recorded the commit. */
function afterUnrecordedCommit(
  context: Context,
  { parent }: Lineage,
  { local }: BackupOptions,
): BackupResult | undefined {
  if (local === undefined || parent === undefined) return undefined;
  return tooSoonAfter(context, parent, local.minIntervalMs);
}

function tooSoonAfter(context: Context, parent: string, minIntervalMs: number): BackupResult | undefined {
  const ageMs = context.clock.now() - epochMsOf(parent);
  return ageMs >= 0 && ageMs < minIntervalMs ? { type: 'too-soon', id: parent, ageMs } : undefined;
}

/** What can be said from the log and the file system's times alone. */
function withoutCapture(view: LogView, lineage: Lineage, options: BackupOptions): BackupResult | undefined {
  const newest = view.snapshots.at(-1);
  if (options.force === true || newest === undefined) return undefined;
  if (lineage.isUnchanged && lineage.parent !== undefined && isLive(view, lineage.parent)) {
    return { type: 'unchanged', id: lineage.parent };
  }
  // A prune commits the newest snapshot anew, which does not make it younger.
  const ageMs = Math.max(newest.ageMs, view.serverTime.getTime() - Date.parse(newest.entry.createdAt));
  if (options.minIntervalMs !== undefined && ageMs < options.minIntervalMs) {
    return { type: 'too-soon', id: newest.entry.id, ageMs };
  }
  return undefined;
}

const isLive = (view: LogView, id: string): boolean => view.snapshots.some(({ entry }) => entry.id === id);

/** The snapshot this store grew from. Where nothing is known, equal content counts as proof. */
async function parentManifest(
  context: Context,
  {
    view,
    lineage,
    staged,
    newest,
  }: Pick<Work, 'view' | 'lineage' | 'staged'> & { newest: Manifest | undefined },
): Promise<Manifest | undefined> {
  if (lineage.parent === undefined) {
    return newest !== undefined && hasContentOf(staged, newest) ? newest : undefined;
  }
  const aged = view.snapshots.find(({ entry }) => entry.id === lineage.parent);
  return aged === undefined ? undefined : manifestIfReadable(context, view, aged.entry);
}

interface Work {
  readonly view: LogView;
  readonly lineage: Lineage;
  readonly staged: StagedStore;
  readonly plan: Extract<BackupPlan, { type: 'commit' }>;
  readonly parentId: string | null;
  readonly epoch: number | undefined;
}

async function carryOut(context: Context, work: Work): Promise<BackupResult> {
  const { clock, settings, signal } = context;
  const { view, staged, plan, parentId } = work;
  const createOnly =
    work.lineage.state.createOnly ??
    (await probeCreateOnly(context.remote, makeSnapshotId(clock.now(), clock.randomHex(4)), {
      graceMs: settings.graceMs,
      signal,
    }));
  if (createOnly !== 'enforced') {
    context.emit({
      type: 'warning',
      code: 'NOTICE',
      message: `${context.remote.location} does not enforce create-only writes: safe for one host only`,
      remedy:
        'Use a store that enforces If-None-Match, or make sure that a single host backs up to this remote',
    });
  }
  const id = makeSnapshotId(staged.capturedAtMs, clock.randomHex(4));
  const uploaded = await uploadSnapshot(context, { id, staged, plan });

  await recordRemoteState(context, {
    ...work.lineage.state,
    createOnly,
    pending: { id, fingerprint: staged.fingerprint },
  });
  const draft = {
    format: 1 as const,
    id,
    parent: parentId,
    createdAt: new Date(staged.capturedAtMs).toISOString(),
    uploadId: clock.randomHex(16),
    host: settings.host,
    agent: settings.agent,
    adapter: staged.adapter,
    files: uploaded.files,
    emptyDirectories: [...staged.emptyDirectories],
    statistics: {
      ...staged.statistics,
      collections: staged.statistics.collections?.map((each) => ({ ...each })),
    },
    stall: { heldMs: staged.heldMs, longestHoldMs: staged.longestHoldMs },
  };
  enterPhase(context, 'commit');
  const committed = await commitSnapshot(context, {
    draft: (current) => ({
      ...draft,
      ...stampOf(
        current.snapshots.map(({ entry }) => entry),
        work.epoch,
      ),
    }),
    view,
    createOnly: createOnly === 'enforced',
    startedAt: view.serverTime,
    lastServerTime: uploaded.serverTime,
    resolve: work.lineage.state.settled,
  });
  const { manifest } = committed;
  context.emit({ type: 'committed', id, generation: manifest.generation });
  await cacheManifest(context, manifest);
  await recordRemoteState(context, {
    parent: { id, generation: manifest.generation, lastModifiedMs: committed.lastModifiedMs },
    fingerprint: staged.fingerprint,
    pending: null,
    createOnly,
    settled: [],
  });

  await afterCommit(context, 'publish', () =>
    publishCurrent(context, { manifest, before: committed.before, after: committed.after }),
  );
  await afterCommit(context, 'rotate', () =>
    rotate(context, { commit: manifest, committedAt: committed.serverTime }),
  );

  const diverged = divergedTips(committed, work.lineage.state.settled);
  if (diverged.length > 0) context.emit({ type: 'diverged', tips: diverged });
  if (isFenced(committed)) {
    context.emit({
      type: 'warning',
      code: 'DIVERGED',
      message: `Snapshot ${id} is kept, but does not count as the newest: another host has taken the lease over`,
      remedy: 'Stop the application on this host; what it wrote since is in that snapshot only',
    });
  }
  return {
    type: 'committed',
    id,
    generation: manifest.generation,
    parent: parentId,
    files: manifest.files.length,
    bytes: plan.uploadBytes + plan.reuseBytes,
    records: staged.statistics.records,
    uploadBytes: plan.uploadBytes,
    reuseBytes: plan.reuseBytes,
    heldMs: staged.heldMs,
    longestHoldMs: staged.longestHoldMs,
    diverged,
    isFenced: isFenced(committed),
    dropped: committed.dropped.map((entry) => entry.id),
  };
}

/** The snapshot exists; what fails now is worth a warning, and the next backup does it again. */
async function afterCommit(context: Context, what: string, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof SyncAgentError) || error.code === 'INTERRUPTED') throw error;
    context.emit({
      type: 'warning',
      code: error.code,
      message: `The snapshot is committed, but to ${what} failed: ${error.message}`,
      remedy: 'The next backup does it again',
    });
  }
}

async function recordUnchanged(
  context: Context,
  view: LogView,
  lineage: Lineage,
  staged: StagedStore,
  id: string,
): Promise<void> {
  const entry = view.snapshots.find((each) => each.entry.id === id)?.entry;
  const commit = view.commits.find((each) => each.generation === entry?.generation);
  if (entry === undefined || commit === undefined) return;
  await recordRemoteState(context, {
    ...lineage.state,
    parent: { id, generation: entry.generation, lastModifiedMs: commit.lastModified.getTime() },
    fingerprint: staged.fingerprint,
    pending: null,
  });
}

function describePlan(plan: Work['plan'], staged: StagedStore): BackupResult {
  return {
    type: 'planned',
    uploadFiles: plan.upload.length,
    uploadBytes: plan.uploadBytes,
    reuseFiles: plan.reuse.length,
    reuseBytes: plan.reuseBytes,
    records: staged.statistics.records,
  };
}
