import type { LogView } from '../../log/commit-log.ts';
import { epochMsOf } from '../../log/layout.ts';
import type { BackupOptions, BackupResult } from './backup-result.ts';
import { isCommitDue } from '../tips.ts';
import type { Context } from '../context.ts';
import type { Lineage } from '../lineage.ts';
import type { LocalStatus } from '../local-status.ts';

/** The result, if the local record is enough to know it. Makes no request. */
export function withoutRequest(
  context: Context,
  { parent, isUnchanged }: LocalStatus,
  { local, isLogDue }: BackupOptions,
): BackupResult | undefined {
  if (local === undefined || parent === undefined || isLogDue === true) return undefined;
  if (isUnchanged) return { type: 'unchanged', id: parent };
  return soonAfter(context, parent, local.minIntervalMs);
}

/** `too-soon` if the store's parent is younger than `minIntervalMs` by this host's clock. */
export function soonAfter(
  { clock }: Context,
  parent: string | undefined,
  minIntervalMs: number | undefined,
): BackupResult | undefined {
  if (parent === undefined || minIntervalMs === undefined) return undefined;
  const ageMs = clock.now() - epochMsOf(parent);
  return ageMs >= 0 && ageMs < minIntervalMs ? { type: 'too-soon', id: parent, ageMs } : undefined;
}

/** The result, if the log and the files' times are enough to know it. */
export function withoutCapture(
  view: LogView,
  lineage: Lineage,
  options: BackupOptions,
): BackupResult | undefined {
  const newest = view.snapshots.at(-1);
  if (options.force === true || options.isLogDue === true || newest === undefined) return undefined;
  const { parent, isUnchanged } = lineage;
  if (isUnchanged && parent !== undefined && isLive(view, parent) && !isCommitDue(view, lineage.state)) {
    return { type: 'unchanged', id: parent };
  }
  const { entry, ageMs } = newest;
  if (options.minIntervalMs !== undefined && ageMs < options.minIntervalMs) {
    return { type: 'too-soon', id: entry.id, ageMs };
  }
  return undefined;
}

const isLive = (view: LogView, id: string): boolean => view.snapshots.some(({ entry }) => entry.id === id);
