import type { LogView } from '../../log/commit-log.ts';
import type { LogEntry } from '../../log/manifest.ts';
import { outrankingAncestor } from '../../log/precedence.ts';
import { isAncestor } from '../../log/retention.ts';
import type { Context } from '../context.ts';
import { manifestIfReadable } from '../remote-log.ts';
import type { RestoreFacts } from './plan-restore.ts';
import { isPassedOn, isWhollyShipped, relateToLog } from '../continuous/log-relation.ts';
import type { LogRelation } from '../continuous/log-relation.ts';

/** How the store relates to the log of a snapshot that may be restored. Undefined if it did not grow from that, or if nobody can see. */
export async function relateToCandidate(
  context: Context,
  view: LogView,
  { candidate, local }: { readonly candidate: LogEntry; readonly local: RestoreFacts['local'] },
): Promise<LogRelation['type'] | undefined> {
  if (local.type === 'missing') return undefined;
  const origin = local.type === 'known' ? local.parent : local.equals;
  if (origin === candidate.id || isPassedOver(view, origin, candidate)) {
    if (candidate.logged !== true) return undefined;
    const manifest = await manifestIfReadable(context, view, candidate);
    return manifest && (await relateToLog(context, manifest))?.type;
  }
  const isBehind =
    (await wentOn(context, view, { origin, candidate })) ||
    (await isLongPassed(context, view, { candidate, local }));
  return isBehind ? 'behind' : undefined;
}

/** Whether the store grew from the candidate through snapshots that count less: the candidate's log may have gone on elsewhere. */
function isPassedOver({ snapshots }: LogView, origin: string | undefined, candidate: LogEntry): boolean {
  const entries = snapshots.map(({ entry }) => entry);
  return origin !== undefined && outrankingAncestor(entries, origin)?.id === candidate.id;
}

/**
 * Whether all that the store holds was in the log of its snapshot when rotation dropped that. It does so only when the snapshots that
 * go on have what is in the log, or when a person has decided.
 */
async function isLongPassed(
  context: Context,
  view: LogView,
  { candidate, local }: { readonly candidate: LogEntry; readonly local: RestoreFacts['local'] },
): Promise<boolean> {
  if (local.type !== 'known' || local.parentGeneration === undefined) return false;
  if (candidate.generation <= local.parentGeneration) return false;
  if (view.snapshots.some(({ entry }) => entry.id === local.parent)) return false;
  const manifest = await manifestIfReadable(context, view, candidate);
  return manifest !== undefined && isWhollyShipped(context, local.parent, manifest.adapter);
}

/** Whether all that the store holds was in the log of its snapshot when another host made the next snapshot of it. */
async function wentOn(
  context: Context,
  { snapshots, ...view }: LogView,
  { origin, candidate }: { readonly origin: string | undefined; readonly candidate: LogEntry },
): Promise<boolean> {
  const entries = snapshots.map(({ entry }) => entry);
  const parent = entries.find(({ id }) => id === origin);
  if (parent?.logged !== true || !isAncestor(entries, parent.id, candidate.id)) return false;
  const child = entries.find((each) => each.parent === origin && isAncestor(entries, each.id, candidate.id));
  const [older, newer] = await Promise.all(
    [parent, child].map(async (entry) =>
      entry === undefined ? undefined : manifestIfReadable(context, { ...view, snapshots }, entry),
    ),
  );
  return older !== undefined && newer !== undefined && isPassedOn(context, older, newer);
}
