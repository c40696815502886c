import { SyncAgentError } from '../errors.ts';
import type { LogView } from '../snapshot/commit-log.ts';
import { historyDirectory, historyPrefix, isSnapshotId, makeSnapshotId } from '../snapshot/layout.ts';
import type { LogEntry } from '../snapshot/manifest.ts';
import { planRetention, unresolvedTips } from '../snapshot/retention.ts';
import type { RetentionPlan } from '../snapshot/retention.ts';
import { probeCreateOnly } from '../snapshot/commit-log.ts';
import { commitSnapshot } from './commit.ts';
import type { Context } from './context.ts';
import { readRemote } from './lineage.ts';
import { rotate, voidCommitsOf } from './rotate.ts';

export interface PruneOptions {
  /** Snapshot ids of tips to settle: no longer reported as diverged, no longer kept beyond retention. */
  readonly resolve?: readonly string[];
  readonly dryRun?: boolean;
}

export interface PruneResult {
  readonly dropped: readonly string[];
  readonly retained: readonly string[];
  /** Objects deleted now; what is younger than the grace period goes later. */
  readonly objects: number;
  readonly isDryRun: boolean;
}

/** Applies the retention rule, and sweeps what crashed hosts left. Nothing to do costs no write. */
export async function prune(context: Context, options: PruneOptions = {}): Promise<PruneResult> {
  const view = await readRemote(context);
  const resolve = options.resolve ?? [];
  for (const id of resolve) {
    if (!view.snapshots.some(({ entry }) => entry.id === id)) {
      throw new SyncAgentError('NOT_FOUND', `Cannot resolve tip "${id}": there is no such snapshot`);
    }
  }
  const retain = (current: LogView): RetentionPlan =>
    planRetention(current.snapshots, [...(current.newest?.resolved ?? []), ...resolve], context.settings);
  const plan = retain(view);
  const isIdle = plan.dropped.length === 0 && resolve.length === 0 && !(await hasGarbage(context, view));
  if (options.dryRun === true || isIdle)
    return { ...summary(plan), objects: 0, isDryRun: options.dryRun ?? false };
  return recommit(context, view, { retain, resolve, atOnce: false });
}

/**
 * Drops every snapshot but the newest and unresolved tips, at once: nobody else's restore of an older one is waited
 * for. Generations go on where they were.
 */
export async function clearHistory(
  context: Context,
  options: { readonly dryRun?: boolean } = {},
): Promise<PruneResult> {
  const view = await readRemote(context);
  const retain = (current: LogView): RetentionPlan => {
    const entries = current.snapshots.map(({ entry }) => entry);
    const tips = new Set(unresolvedTips(entries, current.newest?.resolved ?? []).map((tip) => tip.id));
    return {
      retained: entries.filter((entry) => tips.has(entry.id)),
      dropped: entries.filter((entry) => !tips.has(entry.id)),
    };
  };
  const plan = retain(view);
  if (options.dryRun === true || plan.dropped.length === 0) {
    return { ...summary(plan), objects: 0, isDryRun: options.dryRun ?? false };
  }
  return recommit(context, view, { retain, resolve: [], atOnce: true });
}

interface Recommit {
  readonly retain: (view: LogView) => RetentionPlan;
  readonly resolve: readonly string[];
  readonly atOnce: boolean;
}

/**
 * What is live is said by the newest commit, so a change of it is a commit: the newest snapshot again, under a new
 * number, with the new log. It also fences off hosts in the middle of a backup, as `rotate` needs.
 */
async function recommit(context: Context, view: LogView, work: Recommit): Promise<PruneResult> {
  const { clock, remote, settings, signal } = context;
  if (view.newest === undefined) return { dropped: [], retained: [], objects: 0, isDryRun: false };
  const createOnly = await probeCreateOnly(remote, makeSnapshotId(clock.now(), clock.randomHex(4)), {
    graceMs: settings.graceMs,
    signal,
  });
  const { newest } = view;
  const uploadId = clock.randomHex(16);
  let plan = work.retain(view);
  const committed = await commitSnapshot(context, {
    draft: (current) => {
      const { generation: _, log: __, resolved: ___, ...draft } = current.newest ?? newest;
      return { ...draft, uploadId };
    },
    view,
    createOnly: createOnly === 'enforced',
    startedAt: view.serverTime,
    lastServerTime: undefined,
    resolve: work.resolve,
    retain: (current) => (plan = work.retain(current)),
  });
  const dropped = committed.dropped.map((entry) => entry.id);
  const { objects } = await rotate(context, {
    commit: committed.manifest,
    committedAt: committed.serverTime,
    ...(work.atOnce ? { atOnce: dropped } : {}),
  });
  return { ...summary(plan), objects, isDryRun: false };
}

/** Whether void commits or files that no snapshot names have outlived the grace period. */
async function hasGarbage(context: Context, view: LogView): Promise<boolean> {
  const { remote, settings, signal } = context;
  if (view.newest === undefined) return false;
  const { names, serverTime } = await remote.listDirectories(historyPrefix, { signal });
  const cutoff = serverTime.getTime() - settings.graceMs;
  if (voidCommitsOf(view).some((commit) => commit.lastModified.getTime() < cutoff)) return true;
  const live = new Set([view.newest.id, ...view.newest.log.map((entry) => entry.id)]);
  for (const id of names.filter((name) => isSnapshotId(name) && !live.has(name))) {
    for await (const page of remote.list(historyDirectory(id), { signal })) {
      if (page.objects.some((object) => object.lastModified.getTime() < cutoff)) return true;
    }
  }
  return false;
}

function summary(plan: { readonly retained: readonly LogEntry[]; readonly dropped: readonly LogEntry[] }) {
  const ids = (entries: readonly LogEntry[]): readonly string[] => entries.map((entry) => entry.id);
  return { dropped: ids(plan.dropped), retained: ids(plan.retained) };
}
