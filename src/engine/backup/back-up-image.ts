import { both } from '../../platform/concurrently.ts';
import { SyncAgentError, isSyncAgentError } from '../../platform/errors.ts';
import type { LogView } from '../../log/commit-log.ts';
import { makeSnapshotId } from '../../log/layout.ts';
import type { Verdict } from '../../stores/adapter.ts';
import type { HandedOver } from '../continuous/hand-over.ts';
import { handOver } from '../continuous/hand-over.ts';
import { warnOfLeftLog } from '../continuous/seal-log.ts';
import type { Context } from '../context.ts';
import { recordAdopted, recordRemoteState } from '../lineage.ts';
import type { Lineage } from '../lineage.ts';
import { messagesOf } from '../soundness/soundness.ts';
import type { SoundBase } from '../soundness/soundness.ts';
import type { BackupOptions, BackupResult } from './backup-result.ts';
import type { StoreImage } from './image/capture-store.ts';
import { commitImage } from './commit-image.ts';
import { leftBehind } from './left-behind.ts';
import { WrittenMeanwhile, whileAtRest } from './image/while-at-rest.ts';
import { UnsoundImage, judgeImage } from './image/judge-image.ts';
import type { JudgedImage } from './image/judge-image.ts';
import { shrinkage } from './plan-backup.ts';
import { manifestBefore } from './previous-snapshots.ts';
import { shrunk, stageContent } from './stage-content.ts';
import type { Staged } from './stage-content.ts';
import { discardAttempt } from './upload-content.ts';

/** If our locks do not cover the whole store, an image can be torn. Three unsound images mean that the store is unsound. */
const captureTries = 3;

export interface ImageWork {
  readonly view: LogView;
  readonly lineage: Lineage;
  readonly image: StoreImage;
  readonly options: BackupOptions;
  /** How many images were taken. */
  readonly tries: number;
}

/**
 * Uploads an image while it is validated, and commits it. `again`: it is damaged, and another one may not be; or it was the store
 * itself, and somebody wrote to it; or what was saved since would not be behind it.
 */
export async function backUpImage(context: Context, given: ImageWork): Promise<BackupResult | 'again'> {
  const { view, lineage, image, options, tries } = given;
  const id = makeSnapshotId(image.capturedAtMs, context.clock.randomHex(4));
  try {
    const isDry = options.dryRun === true;
    if (!isDry) await recordAdopted(context, lineage);
    const handedOver = isDry ? noLog : await handOver(context, image, id);
    const { judged, staged } = await stageSound(context, given, id);
    if (staged.type === 'unchanged') {
      if (options.dryRun !== true) await recordUnchanged(context, view, lineage, image, staged.id);
      return staged;
    }
    if (staged.type === 'planned') return describePlan(staged, judged);
    const left = await leftBehind(
      context,
      { view, lineage, dir: image.dir, epoch: options.epoch, handedOver },
      { id, createOnly: staged.createOnly },
    );
    if (left.some(({ whose }) => whose === 'own') && tries < captureTries) {
      await discardAttempt(context, id);
      return 'again';
    }
    for (const { snapshot } of left) warnOfLeftLog(context, snapshot);
    const { position } = handedOver;
    const work = { id, view, lineage, image, judged, staged, position, left, options };
    return await commitImage(context, work);
  } catch (error) {
    if (error instanceof WrittenMeanwhile) return 'again';
    if (!(error instanceof UnsoundImage)) throw error;
    if (tries < captureTries) return 'again';
    throw unsound(context, error);
  }
}

const noLog: HandedOver = { position: undefined, continues: null };

/** Where this fails, no commit will follow, whatever the reason: what was uploaded is discarded. */
async function stageSound(
  context: Context,
  work: ImageWork,
  id: string,
): Promise<{ readonly judged: JudgedImage; readonly staged: Staged }> {
  const { view, lineage, image, options, tries } = work;
  const { atRest } = image;
  let hasBegun = false;
  try {
    const [judged, staged] = await whileAtRest(context.signal, atRest, (whole) =>
      both(
        whole,
        (signal) =>
          judgeImage({ ...context, signal }, image, {
            view,
            base: () => manifestBefore(context, view, lineage),
            acceptsDamage: tries === captureTries && options.acceptDamage === true,
          }),
        (signal) =>
          stageContent(
            { ...context, signal },
            { id, view, lineage, image, options, onUpload: () => (hasBegun = true) },
          ),
      ),
    );
    if (await wasTouched(atRest)) throw new WrittenMeanwhile();
    tellProblems(context, judged);
    const lost = staged.type === 'unchanged' ? undefined : lostTooMuch(context, work, judged, staged);
    if (lost !== undefined) throw shrunk(context, lost);
    return { judged, staged };
  } catch (error) {
    if (hasBegun && !isSyncAgentError(error, 'REMOTE_UNREACHABLE')) await discardAttempt(context, id);
    throw (await wasTouched(atRest)) ? new WrittenMeanwhile(error) : error;
  }
}

const wasTouched = async (atRest: StoreImage['atRest']): Promise<boolean> =>
  atRest !== undefined && !(await atRest.isUntouched());

/** Every backup warns of every problem, until somebody mends it. */
function tellProblems({ emit }: Context, { damage, findings }: Verdict): void {
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

/** Only now the records are counted. What can still be read of a damaged store says nothing about how much was in it. */
function lostTooMuch(
  { settings }: Context,
  { image, options }: ImageWork,
  { damage, statistics }: JudgedImage,
  { base }: Exclude<Staged, { type: 'unchanged' }>,
): string | undefined {
  if (options.allowShrink === true || damage.length > 0) return undefined;
  return shrinkage({ ...image, statistics }, base, settings.maxShrink);
}

function unsound({ home }: Context, { verdict, before }: UnsoundImage): SyncAgentError {
  return new SyncAgentError(
    'STORE_CORRUPT',
    `Cannot back up "${home.store}": ${messagesOf(verdict.damage)}`,
    {
      remedy: damageRemedy(before),
    },
  );
}

/** Says which good snapshot there is, and how to keep a damaged copy, which is better than none. */
function damageRemedy(before: SoundBase | undefined): string {
  const accept = '"sync-agent backup --accept-damage" keeps a copy of it as it is, marked as damaged';
  return before === undefined
    ? `The remote has no snapshot of it yet. ${accept}`
    : `The last good snapshot is untouched: "sync-agent restore --force" brings it back, and keeps this store as a rollback copy. ${accept}`;
}

function describePlan(
  { plan }: Extract<Staged, { type: 'planned' }>,
  { statistics }: JudgedImage,
): BackupResult {
  return {
    type: 'planned',
    uploadFiles: plan.upload.length,
    uploadBytes: plan.uploadBytes,
    reuseFiles: plan.reuse.length,
    reuseBytes: plan.reuseBytes,
    records: statistics.records,
  };
}
