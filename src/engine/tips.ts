import type { RemoteState } from '../home/state.ts';
import type { LogView } from '../log/commit-log.ts';
import { epochOf } from '../log/precedence.ts';
import { unresolvedTips } from '../log/retention.ts';
import type { Committed } from './backup/commit.ts';

/** The tips that a person passes over by restoring snapshot `id` by name. */
export function otherTips(view: LogView, id: string): readonly string[] {
  const entries = view.snapshots.map(({ entry }) => entry);
  const tips = unresolvedTips(entries, view.head?.resolved ?? []);
  return tips.map((tip) => tip.id).filter((tip) => tip !== id);
}

/**
 * Whether the next backup commits although nothing was written: a person restored another snapshot than the newest, and the
 * remote does not know yet. If the newest was named over other tips, nothing is due: its own host goes on from there.
 */
export function isCommitDue(view: LogView, { settled }: Pick<RemoteState, 'settled'>): boolean {
  const newest = view.snapshots.at(-1)?.entry.id;
  return newest !== undefined && settled.includes(newest);
}

/**
 * The tips, if the commit shows that two hosts write at the same time: another host's snapshot was the newest, and nobody
 * chose ours over it. `settled`: the snapshots that ours was chosen over. Empty when all is well.
 */
export function divergedTips(
  { manifest, before, after }: Committed,
  settled: readonly string[],
): readonly string[] {
  const newest = before.snapshots.at(-1)?.entry;
  if (newest === undefined) return [];
  const isOurs = newest.id === manifest.parent || settled.includes(newest.id);
  if (isOurs && !isFenced({ manifest, before })) return [];
  const live = [...manifest.log, ...after.snapshots.map(({ entry }) => entry)];
  const unique = [...new Map(live.map((entry) => [entry.id, entry])).values()];
  const tips = unresolvedTips(unique, after.head?.resolved ?? manifest.resolved);
  return tips.length > 1 ? tips.map((tip) => tip.id) : [];
}

/** Whether another host has taken the lease over and committed since: its snapshot stays the newest. */
export function isFenced({ manifest, before }: Pick<Committed, 'manifest' | 'before'>): boolean {
  const newest = before.snapshots.at(-1)?.entry;
  return newest !== undefined && epochOf(manifest) < epochOf(newest);
}
