import { SyncAgentError } from '../../platform/errors.ts';
import type { LogView } from '../../log/commit-log.ts';
import { historyDirectory, historyPrefix, isSnapshotId } from '../../log/layout.ts';
import { pinsOf } from '../../log/manifest.ts';
import { planClearing, planRetention } from '../../log/retention.ts';
import type { KeepReason, Marks, RetentionPlan } from '../../log/retention.ts';
import { chooseSnapshot } from './choose-snapshot.ts';
import type { Context } from '../context.ts';
import { readRemote } from '../remote-log.ts';
import { recommit } from './recommit.ts';
import { rotate, voidCommitsOf } from './rotate.ts';

export interface PruneOptions {
  /** Tips to settle, named as for a restore: no longer reported as diverged, nor kept beyond retention. Not the newest. */
  readonly resolve?: readonly string[];
  readonly dryRun?: boolean;
}

export interface PruneResult {
  /** Tips that this call settled. */
  readonly resolved: readonly string[];
  readonly dropped: readonly string[];
  readonly retained: readonly string[];
  /** Why each snapshot stays, by id, oldest first. Empty for a dropped one. */
  readonly reasons: Readonly<Record<string, readonly KeepReason[]>>;
  /** Number of objects deleted now. Those younger than the grace period are deleted later. */
  readonly objects: number;
  readonly isDryRun: boolean;
}

/** Applies the retention rule, and deletes what crashed hosts left. Writes nothing if there is nothing to do. */
export async function prune(context: Context, options: PruneOptions = {}): Promise<PruneResult> {
  await warnOfKeptVersions(context);
  const view = await readRemote(context);
  const resolve = (options.resolve ?? []).map((name) => resolvable(view, name));
  const retain = (current: LogView): RetentionPlan =>
    planRetention(current.snapshots, context.settings, marksOf(current, resolve));
  const plan = retain(view);
  const isIdle = plan.dropped.length === 0 && resolve.length === 0 && !(await hasGarbage(context, view));
  if (options.dryRun === true || isIdle)
    return { ...summary(plan, resolve), objects: 0, isDryRun: options.dryRun ?? false };
  return apply(context, view, { retain, resolve, atOnce: false });
}

/**
 * Drops and deletes every snapshot but the newest, pinned ones and unresolved tips. The grace period does not count, so
 * another host's restore of an older snapshot may fail. Generations continue.
 */
export async function clearHistory(
  context: Context,
  options: { readonly dryRun?: boolean } = {},
): Promise<PruneResult> {
  await warnOfKeptVersions(context);
  const view = await readRemote(context);
  const retain = (current: LogView): RetentionPlan =>
    planClearing(
      current.snapshots.map(({ entry }) => entry),
      marksOf(current),
    );
  const plan = retain(view);
  if (options.dryRun === true || plan.dropped.length === 0) {
    return { ...summary(plan, []), objects: 0, isDryRun: options.dryRun ?? false };
  }
  return apply(context, view, { retain, resolve: [], atOnce: true });
}

interface Work {
  readonly retain: (view: LogView) => RetentionPlan;
  readonly resolve: readonly string[];
  readonly atOnce: boolean;
}

/** `rotate` needs a fresh commit: it makes hosts give up that are in the middle of a backup. */
async function apply(context: Context, view: LogView, work: Work): Promise<PruneResult> {
  let plan = work.retain(view);
  const committed = await recommit(context, view, {
    resolve: work.resolve,
    retain: (current) => (plan = work.retain(current)),
  });
  if (committed === undefined) return { ...summary(plan, []), objects: 0, isDryRun: false };
  const { objects } = await rotate(context, {
    commit: committed.manifest,
    committedAt: committed.serverTime,
    ...(work.atOnce ? { atOnce: committed.dropped.map((entry) => entry.id) } : {}),
  });
  return { ...summary(plan, work.resolve), objects, isDryRun: false };
}

/** The newest snapshot is always a tip, so it cannot be settled. */
function resolvable(view: LogView, name: string): string {
  const entries = view.snapshots.map(({ entry }) => entry);
  const { id } = chooseSnapshot(entries, name);
  if (id !== entries.at(-1)?.id) return id;
  throw new SyncAgentError('USAGE', `Cannot resolve tip "${name}": it is the newest snapshot`, {
    remedy:
      'To go on with another tip, run "sync-agent restore --snapshot" with that one, then "sync-agent backup"',
  });
}

function marksOf({ head, serverTime }: LogView, resolve: readonly string[] = []): Marks {
  return { resolved: [...(head?.resolved ?? []), ...resolve], pinned: [...pinsOf(head, serverTime).keys()] };
}

/** Whether there are void commits, or files that no snapshot names, older than the grace period. */
async function hasGarbage(context: Context, view: LogView): Promise<boolean> {
  const { remote, settings, signal } = context;
  if (view.head === undefined) return false;
  const { names, serverTime } = await remote.listDirectories(historyPrefix, { signal });
  const cutoff = serverTime.getTime() - settings.graceMs;
  if (voidCommitsOf(view).some((commit) => commit.lastModified.getTime() < cutoff)) return true;
  const live = new Set([view.head.id, ...view.head.log.map((entry) => entry.id)]);
  for (const id of names.filter((name) => isSnapshotId(name) && !live.has(name))) {
    for await (const page of remote.list(historyDirectory(id), { signal })) {
      if (page.objects.some((object) => object.lastModified.getTime() < cutoff)) return true;
    }
  }
  return false;
}

function summary(
  { retained, dropped, reasons }: RetentionPlan,
  resolved: readonly string[],
): Pick<PruneResult, 'resolved' | 'dropped' | 'retained' | 'reasons'> {
  return {
    resolved,
    dropped: dropped.map((entry) => entry.id),
    retained: retained.map((entry) => entry.id),
    reasons: Object.fromEntries(reasons),
  };
}

/** What is called deleted may still cost. */
async function warnOfKeptVersions({ remote, emit, signal }: Context): Promise<void> {
  const remarks = (await remote.remarks?.({ signal })) ?? [];
  for (const { message, remedy } of remarks.filter(({ type }) => type === 'keeps-deleted'))
    emit({ type: 'warning', code: 'NOTICE', message, ...(remedy === undefined ? {} : { remedy }) });
}
