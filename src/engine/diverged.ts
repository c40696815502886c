import { epochOf } from '../log/precedence.ts';
import { unresolvedTips } from '../log/retention.ts';
import type { Committed } from './backup/commit.ts';

/**
 * The tips, when a commit found that hosts write beside each other: another host's snapshot was the newest, and nobody
 * chose ours over it. `settled` are those that ours was chosen over. Empty when all is well.
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

/** Whether another host took the lease over and committed since: its snapshot stays the newest. */
export function isFenced({ manifest, before }: Pick<Committed, 'manifest' | 'before'>): boolean {
  const newest = before.snapshots.at(-1)?.entry;
  return newest !== undefined && epochOf(manifest) < epochOf(newest);
}
