import { assertLogWhole } from '../../log/commit-copies.ts';
import type { CommitCopy } from '../../log/commit-copies.ts';
import { readLog } from '../../log/commit-log.ts';
import type { LogView } from '../../log/commit-log.ts';
import { probeCreateOnly } from '../../log/create-only.ts';
import type { CreateOnlySupport } from '../../log/create-only.ts';
import { attemptKey, makeSnapshotId } from '../../log/layout.ts';
import type { Manifest } from '../../log/manifest.ts';
import type { UploadFile } from '../../formats/content-format.ts';
import { allOf } from '../../platform/concurrently.ts';
import { SyncAgentError } from '../../platform/errors.ts';
import { textBody } from '../../remotes/body.ts';
import type { Context } from '../context.ts';
import { recordRemoteState } from '../lineage.ts';
import type { Lineage } from '../lineage.ts';
import { newestManifest } from '../remote-log.ts';
import { isAnew } from './nothing-to-do.ts';
import { isCommitDue } from '../tips.ts';
import type { BackupOptions } from './backup-result.ts';
import type { StoreImage } from './image/capture-store.ts';
import { hashImage } from './image/hash-image.ts';
import { planBackup } from './plan-backup.ts';
import type { BackupPlan } from './plan-backup.ts';
import {
  contentHere,
  firstOfSameBytes,
  lookAtBases,
  manifestOfParent,
  twinsBySize,
} from './previous-snapshots.ts';
import { uploadContent } from './upload-content.ts';
import type { Uploaded } from './upload-content.ts';

export interface StageWork {
  /** Of the new snapshot. */
  readonly id: string;
  readonly view: LogView;
  readonly lineage: Lineage;
  readonly image: StoreImage;
  readonly options: BackupOptions;
  /** Called before the first object of the snapshot is written. */
  readonly onUpload: () => void;
}

export type CommitPlan = Extract<BackupPlan, { type: 'commit' }>;

/** What a backup is about to commit, if its image is sound. */
export type Staged =
  | { readonly type: 'unchanged'; readonly id: string }
  /** Nothing was written. */
  | { readonly type: 'planned'; readonly plan: CommitPlan; readonly base: Manifest | undefined }
  | StagedContent;

/** All bytes of a snapshot are in the remote. */
export interface StagedContent extends Uploaded {
  readonly type: 'staged';
  readonly plan: CommitPlan;
  /** The snapshot that the new one is compared with. */
  readonly base: Manifest | undefined;
  readonly parentId: string | null;
  readonly copies: readonly CommitCopy[];
  readonly createOnly: CreateOnlySupport;
  /** Keys of objects that earlier snapshots rely on, and that are missing or cut. */
  readonly lost: readonly string[];
}

/** Compares an image with earlier snapshots, and uploads what none of them has. Nothing counts before the commit. */
export async function stageContent(context: Context, work: StageWork): Promise<Staged> {
  const { view, lineage, image, options } = work;
  const { settings } = context;
  const newest = await newestManifest(context, view);
  const { files, parent } = await findParent(context, work, newest);
  const { isHeld, lost } = await lookAtBases(context, [newest, parent], files);
  const here = (manifest: Manifest | undefined): Manifest | undefined =>
    manifest && contentHere(context, image, manifest);
  const plan = planBackup({
    captured: { ...image, files, statistics: undefined },
    parent: here(parent),
    newest: here(newest),
    isAnew: isAnew(options, (parent ?? newest)?.label),
    isCommitDue: isCommitDue(view, lineage.state),
    // What can still be read of a damaged store says nothing about how much was in it.
    allowShrink: (options.allowShrink ?? false) || (options.acceptDamage ?? false),
    maxShrink: settings.maxShrink,
    isHeld,
    format: context.formats.current.number,
    sendsWhole: options.force ?? false,
  });
  const base = here(parent ?? newest);
  if (plan.type === 'unchanged') return { type: 'unchanged', id: parent?.id ?? newest?.id ?? '' };
  if (plan.type === 'refuse') throw shrunk(context, plan.reason);
  if (options.dryRun === true) return { type: 'planned', plan, base };
  const parentId = parent?.id ?? (lineage.isParentLost ? newest?.id : lineage.parent) ?? null;
  warnOfLoss(context, { lineage, lost });
  return { type: 'staged', plan, base, parentId, lost, ...(await upload(context, work, plan)) };
}

/** The snapshot that the store grew from, and the image's files, hashed as far as a snapshot may have their bytes. */
async function findParent(
  context: Context,
  { view, lineage, image }: StageWork,
  newest: Manifest | undefined,
): Promise<{ readonly files: readonly UploadFile[]; readonly parent: Manifest | undefined }> {
  if (lineage.parent !== undefined) {
    const parent = await manifestOfParent(context, view, lineage.parent);
    return { files: await hashImage(context, image, { newest, parent }), parent };
  }
  const twins = twinsBySize(context, view, image);
  const files = await hashImage(context, image, { newest, all: twins.length > 0 });
  return { files, parent: await firstOfSameBytes(context, { view, twins, image, files }) };
}

/** The store lost too much to be committed. `reason` completes the sentence. */
export function shrunk({ home }: Pick<Context, 'home'>, reason: string): SyncAgentError {
  return new SyncAgentError('REFUSED', `Cannot back up "${home.store}": ${reason}`, {
    remedy:
      'If the loss is meant, use --allow-shrink; else "sync-agent restore --force" brings the snapshot back',
  });
}

/** What a commit needs besides is done while bytes are under way. */
async function upload(
  context: Context,
  work: StageWork,
  plan: CommitPlan,
): Promise<Uploaded & Pick<StagedContent, 'copies' | 'createOnly'>> {
  const { remote } = context;
  const { id, view, image, lineage } = work;
  work.onUpload();
  const isFirst = view.head === undefined;
  // Until there is a commit, only this mark tells an interrupted first backup from a remote that lost its log.
  const marked = isFirst ? remote.put(attemptKey(id), textBody(''), { signal: context.signal }) : undefined;
  // Whoever waits for it is told.
  marked?.catch(() => undefined);
  const [uploaded, checked] = await allOf(context.signal, [
    (signal) => uploadContent({ ...context, signal }, id, { image, plan, after: marked }),
    async (signal) => ({
      // Whoever read a log without a commit has seen that there is no copy of one, either.
      copies: isFirst
        ? []
        : await assertLogWhole(remote, view, { signal, readAgain: () => readLog(context, { signal }) }),
      createOnly: await knownCreateOnly({ ...context, signal }, lineage),
    }),
    async () => marked,
    // Before the commit, and so early that no commit waits for the disk.
    () => recordRemoteState(context, { ...lineage.state, pending: { id, fingerprint: image.fingerprint } }),
  ]);
  return { ...uploaded, ...checked };
}

/** From the local record; tried out in the remote if this is its first backup from here. */
async function knownCreateOnly(context: Context, { state }: Lineage): Promise<CreateOnlySupport> {
  const { remote, clock, settings, signal } = context;
  const createOnly =
    state.createOnly ??
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

function warnOfLoss(
  { emit }: Context,
  { lineage, lost }: Pick<StageWork, 'lineage'> & Pick<StagedContent, 'lost'>,
): void {
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
