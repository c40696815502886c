import { endOfPin, pinsOf } from '../../log/manifest.ts';
import type { Pin } from '../../log/manifest.ts';
import type { LogView } from '../../log/commit-log.ts';
import type { LogPosition } from '../../log/segments/position.ts';
import { epochForCommit } from '../../log/precedence.ts';
import { leftReason } from '../continuous/seal-log.ts';
import { inPhase } from '../context.ts';
import type { Context } from '../context.ts';
import { cacheManifest } from '../known-manifests.ts';
import { recordRemoteState } from '../lineage.ts';
import type { Lineage } from '../lineage.ts';
import { divergedTips, isFenced } from '../tips.ts';
import { finishCommit } from './after-commit.ts';
import type { BackupOptions, BackupResult } from './backup-result.ts';
import type { StoreImage } from './image/capture-store.ts';
import { commitSnapshot } from './commit.ts';
import type { Committed, Created, ManifestDraft } from './commit.ts';
import type { JudgedImage } from './image/judge-image.ts';
import type { LeftBehind } from './left-behind.ts';
import type { StagedContent } from './stage-content.ts';

export interface CommitImageWork {
  readonly id: string;
  readonly view: LogView;
  readonly lineage: Lineage;
  readonly image: StoreImage;
  readonly judged: JudgedImage;
  readonly staged: StagedContent;
  readonly options: Pick<BackupOptions, 'epoch' | 'label' | 'pin' | 'prune'>;
  /** Where the image stands in the store's own log, if that goes on behind the snapshot. */
  readonly position: LogPosition | undefined;
  /** Snapshots whose logs have writes that this one does not have. */
  readonly left: readonly LeftBehind[];
}

/** Commits an image whose content is in the remote: steps 4 to 8 of a backup, as `backup` lists them. */
export async function commitImage(context: Context, work: CommitImageWork): Promise<BackupResult> {
  const { id, view, lineage, staged } = work;
  const { state } = lineage;
  const { createOnly, copies } = staged;
  const created = await inPhase(context, 'commit', () => commit(context, work));
  const committed = await finishCommit(context, created, {
    view,
    copies,
    createOnly,
    rotates: work.options.prune !== false,
    publishes: true,
    onCommitted: async (confirmed) => {
      context.emit({ type: 'committed', id, generation: confirmed.manifest.generation });
      await recordParent(context, work, confirmed);
    },
  });
  const diverged = divergedTips(committed, state.settled);
  if (diverged.length > 0) context.emit({ type: 'diverged', tips: diverged });
  if (isFenced(committed)) warnOfFence(context, id);
  context.emit({ type: 'phases', phases: context.phases.list() });
  return describe(context, work, { committed, diverged });
}

async function recordParent(
  context: Context,
  { id, image, staged }: CommitImageWork,
  { manifest, lastModifiedMs }: Committed,
): Promise<void> {
  await cacheManifest(context, manifest);
  await recordRemoteState(context, {
    parent: { id, generation: manifest.generation, lastModifiedMs },
    fingerprint: image.fingerprint,
    pending: null,
    createOnly: staged.createOnly,
    settled: [],
  });
}

async function commit(context: Context, work: CommitImageWork): Promise<Created> {
  const { view, staged, options } = work;
  const draft = draftOf(context, work);
  return commitSnapshot(context, {
    draft: (current) => {
      const entries = current.snapshots.map(({ entry }) => entry);
      return { ...draft, ...epochForCommit(entries, options.epoch) };
    },
    view,
    createOnly: staged.createOnly !== 'rejected',
    startedAt: view.serverTime,
    lastServerTime: staged.written.serverTime,
    resolve: work.lineage.state.settled,
    keepsAll: options.prune === false,
    pins: (current) => [
      ...pinsOf(current.head, current.serverTime).values(),
      ...ownPin(context, work, current.serverTime),
      ...leftPins(context, work, current),
    ],
  });
}

/** A damaged image is pinned for good, another one if that was asked for. */
function ownPin(
  { clock, settings }: Context,
  { id, judged, options: { pin } }: CommitImageWork,
  now: Date,
): readonly Pin[] {
  const own = { id, at: new Date(clock.now()).toISOString(), host: settings.host };
  if (judged.damage.length > 0) return [{ ...own, reason: damagedPin }];
  return pin === undefined ? [] : [{ ...own, reason: pin.reason, until: endOfPin(now, pin.forMs) }];
}

/** Stays until a person has settled it. A pin that is there already stays as it is. */
function leftPins(
  { clock, settings }: Context,
  { left }: CommitImageWork,
  { head, serverTime }: LogView,
): readonly Pin[] {
  const pinned = pinsOf(head, serverTime);
  const at = new Date(clock.now()).toISOString();
  return left
    .filter(({ snapshot }) => !pinned.has(snapshot))
    .map(({ snapshot }) => ({ id: snapshot, reason: leftReason, at, host: settings.host }));
}

/** Why a snapshot of a damaged store is pinned. */
const damagedPin = 'the store was damaged when this was made (--accept-damage)';

function draftOf({ formats, clock, settings }: Context, work: CommitImageWork): ManifestDraft {
  const { id, image, judged, staged, options, position } = work;
  const { written, parentId } = staged;
  const { databases, statistics, findings, damage, fullTextDueAt } = judged;
  return {
    format: formats.current.number,
    id,
    parent: parentId,
    createdAt: new Date(image.capturedAtMs).toISOString(),
    uploadId: clock.randomHex(16),
    host: settings.host,
    agent: settings.agent,
    ...(options.label === undefined ? {} : { label: options.label }),
    adapter: image.adapter,
    ...(databases === undefined ? {} : { databases: [...databases] }),
    files: written.files,
    emptyDirectories: [...image.emptyDirectories],
    mode: image.mode,
    directories: [...image.directories],
    statistics: {
      ...statistics,
      collections: statistics.collections?.map((each) => ({ ...each })),
    },
    stall: { heldMs: image.heldMs, longestHoldMs: image.longestHoldMs },
    ...(fullTextDueAt === undefined ? {} : { fullTextDueAt }),
    ...(position === undefined ? {} : { position }),
    ...(damage.length > 0 ? {} : { checkedBy: settings.agent }),
    ...(findings.length > 0 ? { findings: [...findings] } : {}),
    ...(damage.length > 0 ? { damage: [...damage] } : {}),
    ...(written.content === undefined ? {} : { content: written.content }),
    ...(written.linked === undefined ? {} : { linked: written.linked }),
  };
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
  { phases }: Context,
  { staged, image, judged }: CommitImageWork,
  { committed, diverged }: { readonly committed: Committed; readonly diverged: readonly string[] },
): BackupResult {
  const { manifest } = committed;
  const { plan, parentId, lost, copiedBytes } = staged;
  return {
    type: 'committed',
    id: manifest.id,
    generation: manifest.generation,
    parent: parentId,
    files: manifest.files.length,
    bytes: plan.uploadBytes + plan.reuseBytes,
    records: judged.statistics.records,
    uploadBytes: plan.uploadBytes - copiedBytes,
    reuseBytes: plan.reuseBytes + copiedBytes,
    heldMs: image.heldMs,
    longestHoldMs: image.longestHoldMs,
    diverged,
    isFenced: isFenced(committed),
    dropped: committed.dropped.map((entry) => entry.id),
    lost,
    findings: judged.findings,
    damage: judged.damage,
    phases: phases.list(),
  };
}
