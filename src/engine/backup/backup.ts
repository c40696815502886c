import { SyncAgentError } from '../../platform/errors.ts';
import { assertLogWhole, writeCopy } from '../../log/commit-copies.ts';
import { probeCreateOnly, readLog } from '../../log/commit-log.ts';
import type { LogView } from '../../log/commit-log.ts';
import { textBody } from '../../remotes/body.ts';
import { attemptKey, makeSnapshotId } from '../../log/layout.ts';
import type { Manifest, ManifestFile } from '../../log/manifest.ts';
import { pinsOf } from '../../log/manifest.ts';
import { stampOf } from '../../log/precedence.ts';
import { assertExclusionsFitStore } from '../../stores/content/exclusions-fit.ts';
import { noExclusions } from '../../stores/content/exclusions.ts';
import { stagingRoot } from '../../home/home.ts';
import type { BackupOptions, BackupResult } from './backup-result.ts';
import { isChoiceOpen } from '../choice.ts';
import { commitSnapshot } from './commit.ts';
import { snapshotsOfSize } from '../restore/compare-content.ts';
import { enterPhase, newAttempt } from '../context.ts';
import type { Context } from '../context.ts';
import { divergedTips, isFenced } from '../diverged.ts';
import { findEmptied } from '../emptied-remote.ts';
import { lookForObjects, missingObjects } from './held-objects.ts';
import {
  cacheManifest,
  manifestIfReadable,
  newestManifest,
  readLineage,
  readRemote,
  recordRemoteState,
} from '../lineage.ts';
import type { GivenView, Lineage } from '../lineage.ts';
import { soonAfter, withoutCapture, withoutRequest } from './nothing-to-do.ts';
import { hasBytesOf, planBackup } from './plan-backup.ts';
import type { BackupPlan } from './plan-backup.ts';
import { publishCurrent } from './publish.ts';
import { rotate } from '../history/rotate.ts';
import { snapshotContent } from '../snapshot-content.ts';
import { stageStore } from './stage.ts';
import { stagingFailure } from './staging-failure.ts';
import type { StagedStore } from './stage.ts';
import { uploadSnapshot } from './upload.ts';

export type { BackupOptions, BackupResult } from './backup-result.ts';

/**
 * Makes one snapshot. The caller holds the store's lock and has finished an interrupted restore.
 *
 *     1 capture, validate, hash        crash: staging garbage, swept by the next run
 *       of a first backup: say so      crash: known for garbage, and no trace of a lost log
 *     2 upload to history/<id>/        crash: garbage in the remote, swept by a later rotation
 *     3 local state: pending           crash: the same
 *     4 COMMIT: create commits/<n>     the snapshot exists; a crash after it loses nothing
 *     5 local state: new parent        crash before: the next run finds the pending id in the log
 *     6 copy of the commit             crash before: the next backup writes it
 *     7 current files, manifest.json   crash: readers do not use them; the next backup mends them
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
  // The parent may be one whose commit this host did not hear of.
  const early = withoutCapture(view, lineage, options);
  if (early?.type === 'unchanged') {
    if (await isWhole(context, view, early.id)) return early;
  } else {
    const tooSoon = early ?? soonAfter(context, lineage.parent, options.local?.minIntervalMs);
    if (tooSoon !== undefined) return tooSoon;
  }

  const attempt = newAttempt();
  try {
    const staged = await stageStore(context, attempt, {
      base: () => manifestBefore(context, view, lineage),
      acceptDamage: options.acceptDamage ?? false,
    }).catch(async (error: unknown) => {
      throw await stagingFailure(context, error);
    });
    tellProblems(context, staged);
    const newest = await newestManifest(context, view);
    const parent = await parentManifest(context, { view, lineage, staged });
    const bases = [...new Set([newest, parent])].filter((base) => base !== undefined);
    const content = new Set(staged.files.map(contentKey));
    const matters = (file: ManifestFile): boolean => content.has(contentKey(file));
    const isHeld = await lookForObjects(context, bases, matters);
    const lost = bases.flatMap(({ id, files }) =>
      missingObjects({ id, files: files.filter(matters) }, isHeld),
    );
    const plan = planBackup({
      captured: staged,
      parent: parent && contentHere(context, staged, parent),
      newest: newest && contentHere(context, staged, newest),
      force: options.force ?? false,
      isChoiceOpen: isChoiceOpen(view, lineage.state),
      // What a damaged store still yields is no measure.
      allowShrink: (options.allowShrink ?? false) || staged.damage.length > 0,
      maxShrink: context.settings.maxShrink,
      isHeld,
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
          parentId: parent?.id ?? (lineage.isParentLost ? newest?.id : lineage.parent) ?? null,
          lost: [...new Set(lost)],
          epoch: options.epoch,
        });
    }
  } finally {
    await context.fs.remove(stagingRoot(context.home));
  }
}

const contentKey = ({ sha256, size }: Pick<ManifestFile, 'sha256' | 'size'>): string => `${sha256} ${size}`;

/** Whether the snapshot that the store equals is there. "Nothing changed" is worth nothing without it. */
async function isWhole(context: Context, view: LogView, id: string): Promise<boolean> {
  const entry = view.snapshots.find((each) => each.entry.id === id)?.entry;
  const manifest = entry && (await manifestIfReadable(context, view, entry));
  if (manifest === undefined) return false;
  return missingObjects(manifest, await lookForObjects(context, [manifest])).length === 0;
}

function warnOfLoss({ emit }: Context, { lineage, lost }: Work): void {
  if (lineage.isParentLost) {
    emit({
      type: 'warning',
      code: 'SNAPSHOT_CORRUPT',
      message: `Snapshot ${lineage.parent}, which this store was last equal to, is not in the remote any more: its commit was lost`,
      remedy: 'Run "sync-agent repair-remote --dry-run" to see what can be rebuilt',
    });
  }
  const [first, ...others] = lost;
  if (first === undefined) return;
  emit({
    type: 'warning',
    code: 'SNAPSHOT_CORRUPT',
    message:
      `Object "${first}"${others.length > 0 ? ` and ${others.length} more` : ''} of the snapshots before this one ` +
      `${others.length > 0 ? 'are' : 'is'} missing or cut: uploaded again, into this one`,
    remedy:
      'Run "sync-agent verify --all" to see what else is damaged; look for a lifecycle rule that expires objects',
  });
}

async function assertExclusionsFit({ home, detectAdapter }: Context): Promise<void> {
  const { store, exclude = noExclusions } = home;
  await assertExclusionsFitStore(store, { detectAdapter, exclude });
}

/** The snapshot that this store is judged by: its parent, else the newest. */
async function manifestBefore(
  context: Context,
  view: LogView,
  { parent }: Lineage,
): Promise<Manifest | undefined> {
  const entry = view.snapshots.find((each) => each.entry.id === parent)?.entry;
  const known = entry && (await manifestIfReadable(context, view, entry));
  return known ?? newestManifest(context, view);
}

/** Whatever is wrong is told at each backup, with what mends it, until it is mended. */
function tellProblems({ emit }: Context, { damage, findings }: StagedStore): void {
  for (const { message, remedy } of [...damage, ...findings])
    emit({ type: 'warning', code: 'NOTICE', message, ...(remedy === undefined ? {} : { remedy }) });
}

/** The snapshot this store grew from. Where nothing is known, equal content counts as proof. */
async function parentManifest(
  context: Context,
  { view, lineage, staged }: Pick<Work, 'view' | 'lineage' | 'staged'>,
): Promise<Manifest | undefined> {
  const candidates =
    lineage.parent === undefined
      ? snapshotsOfSize(view.snapshots, staged.files, context.home.exclude).toReversed()
      : view.snapshots.filter(({ entry }) => entry.id === lineage.parent);
  for (const { entry } of candidates) {
    const manifest = await manifestIfReadable(context, view, entry);
    if (manifest === undefined) continue;
    if (lineage.parent !== undefined || hasBytesOf(staged, contentHere(context, staged, manifest)))
      return manifest;
  }
  return undefined;
}

const contentHere = ({ home }: Context, staged: StagedStore, manifest: Manifest): Manifest =>
  snapshotContent(manifest, home.exclude, staged.leftAlone);

interface Work {
  readonly view: LogView;
  readonly lineage: Lineage;
  readonly staged: StagedStore;
  readonly plan: Extract<BackupPlan, { type: 'commit' }>;
  readonly parentId: string | null;
  readonly epoch: number | undefined;
  readonly lost: readonly string[];
}

async function carryOut(context: Context, work: Work): Promise<BackupResult> {
  const { clock, settings, signal } = context;
  const { view, staged, plan, parentId } = work;
  const readAgain = (): Promise<LogView> => readLog(context.remote, { signal });
  const copies = await assertLogWhole(context.remote, view, { signal, readAgain });
  warnOfLoss(context, work);
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
  // Until there is a commit, this alone tells a first backup that was cut off from a remote that lost its log.
  if (view.head === undefined) await context.remote.put(attemptKey(id), textBody(''), { signal });
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
    ...(staged.databases === undefined ? {} : { databases: [...staged.databases] }),
    files: uploaded.files,
    emptyDirectories: [...staged.emptyDirectories],
    mode: staged.mode,
    directories: [...staged.directories],
    statistics: {
      ...staged.statistics,
      collections: staged.statistics.collections?.map((each) => ({ ...each })),
    },
    stall: { heldMs: staged.heldMs, longestHoldMs: staged.longestHoldMs },
    ...(staged.findings.length > 0 ? { findings: [...staged.findings] } : {}),
    ...(staged.damage.length > 0 ? { damage: [...staged.damage] } : {}),
  };
  const pin = { id, reason: damagedPin, at: new Date(clock.now()).toISOString(), host: settings.host };
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
    createOnly: createOnly !== 'rejected',
    startedAt: view.serverTime,
    lastServerTime: uploaded.serverTime,
    resolve: work.lineage.state.settled,
    ...(staged.damage.length > 0 ? { pins: (current) => [...pinsOf(current.head).values(), pin] } : {}),
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

  await afterCommit(context, 'copy its commit', async () => {
    const before = view.head;
    if (before !== undefined && !copies.some(({ generation }) => generation === before.generation))
      await writeCopy(context.remote, before, { createOnly: createOnly !== 'rejected', signal });
    await writeCopy(context.remote, manifest, { createOnly: createOnly !== 'rejected', signal });
    if (before === undefined) await context.remote.remove([attemptKey(id)], { signal });
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
    lost: work.lost,
    findings: staged.findings,
    damage: staged.damage,
  };
}

/** Why a snapshot of a damaged store is pinned. */
const damagedPin = 'the store was damaged when this was made (--accept-damage)';

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
