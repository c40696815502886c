import { assertLogWhole } from '../../log/commit-copies.ts';
import { readLog } from '../../log/commit-log.ts';
import { probeCreateOnly } from '../../log/create-only.ts';
import type { LogView } from '../../log/commit-log.ts';
import type { CreateOnlySupport } from '../../log/create-only.ts';
import { attemptKey, makeSnapshotId } from '../../log/layout.ts';
import { textBody } from '../../remotes/body.ts';
import type { Context } from '../context.ts';
import { divergedTips, isFenced } from '../tips.ts';
import { cacheManifest } from '../known-manifests.ts';
import { recordRemoteState } from '../lineage.ts';
import type { Lineage } from '../lineage.ts';
import { finishCommit } from './after-commit.ts';
import type { BackupResult } from './backup-result.ts';
import type { StoreImage } from './capture-store.ts';
import { commitImage } from './commit-image.ts';
import type { Committed } from './commit.ts';
import type { BackupPlan } from './plan-backup.ts';
import { uploadContent } from './upload-content.ts';

export interface SnapshotWork {
  readonly view: LogView;
  readonly lineage: Lineage;
  readonly image: StoreImage;
  readonly plan: Extract<BackupPlan, { type: 'commit' }>;
  readonly parentId: string | null;
  readonly epoch: number | undefined;
  /** Keys of objects that earlier snapshots rely on, and that are missing or cut. */
  readonly lost: readonly string[];
}

/** Carries out what `planBackup` decided: steps 2 to 8 of a backup, as `backup` lists them. */
export async function makeSnapshot(context: Context, work: SnapshotWork): Promise<BackupResult> {
  const { clock, remote, signal } = context;
  const { view, image } = work;
  const readAgain = (): Promise<LogView> => readLog(context, { signal });
  const copies = await assertLogWhole(remote, view, { signal, readAgain });
  warnOfLoss(context, work);
  const createOnly = await knownCreateOnly(context, work);
  const id = makeSnapshotId(image.capturedAtMs, clock.randomHex(4));
  // Until there is a commit, only this mark tells an interrupted first backup from a remote that lost its log.
  if (view.head === undefined) await remote.put(attemptKey(id), textBody(''), { signal });
  const written = await uploadContent(context, id, work);

  const { state } = work.lineage;
  const { fingerprint } = image;
  await recordRemoteState(context, { ...state, createOnly, pending: { id, fingerprint } });
  const committed = await commitImage(context, { ...work, id, written, createOnly });
  const { manifest, lastModifiedMs } = committed;
  const { generation } = manifest;
  context.emit({ type: 'committed', id, generation });
  await cacheManifest(context, manifest);
  const parent = { id, generation, lastModifiedMs };
  await recordRemoteState(context, { parent, fingerprint, pending: null, createOnly, settled: [] });

  await finishCommit(context, { view, committed, copies, createOnly });
  const diverged = divergedTips(committed, state.settled);
  if (diverged.length > 0) context.emit({ type: 'diverged', tips: diverged });
  if (isFenced(committed)) warnOfFence(context, id);
  return describe(work, committed, diverged);
}

/** From the local record; tried out in the remote if this is its first backup from here. */
async function knownCreateOnly(context: Context, { lineage }: SnapshotWork): Promise<CreateOnlySupport> {
  const { remote, clock, settings, signal } = context;
  const createOnly =
    lineage.state.createOnly ??
    (await probeCreateOnly(remote, makeSnapshotId(clock.now(), clock.randomHex(4)), {
      graceMs: settings.graceMs,
      signal,
    }));
  if (createOnly !== 'enforced') {
    context.emit({
      type: 'warning',
      code: 'NOTICE',
      message: `${remote.location} does not enforce create-only writes: safe for one host only`,
      remedy:
        'Use a remote that enforces create-only writes (If-None-Match), or make sure that a single host backs up to this remote',
    });
  }
  return createOnly;
}

function warnOfLoss({ emit }: Context, { lineage, lost }: SnapshotWork): void {
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

function warnOfFence({ emit }: Context, id: string): void {
  emit({
    type: 'warning',
    code: 'DIVERGED',
    message: `Snapshot ${id} is kept, but does not count as the newest: another host has taken the lease over`,
    remedy: 'Stop the application on this host; what it wrote since is in that snapshot only',
  });
}

function describe(
  { plan, image, parentId, lost }: SnapshotWork,
  committed: Committed,
  diverged: readonly string[],
): BackupResult {
  const { manifest } = committed;
  return {
    type: 'committed',
    id: manifest.id,
    generation: manifest.generation,
    parent: parentId,
    files: manifest.files.length,
    bytes: plan.uploadBytes + plan.reuseBytes,
    records: image.statistics.records,
    uploadBytes: plan.uploadBytes,
    reuseBytes: plan.reuseBytes,
    heldMs: image.heldMs,
    longestHoldMs: image.longestHoldMs,
    diverged,
    isFenced: isFenced(committed),
    dropped: committed.dropped.map((entry) => entry.id),
    lost,
    findings: image.findings,
    damage: image.damage,
  };
}
