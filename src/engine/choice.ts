import type { LogView } from '../log/commit-log.ts';
import { unresolvedTips } from '../log/retention.ts';
import type { RemoteState } from '../home/state.ts';

/** What snapshot `id` is chosen over when a person names it: the other tips. */
export function otherTips(view: LogView, id: string): readonly string[] {
  const entries = view.snapshots.map(({ entry }) => entry);
  const tips = unresolvedTips(entries, view.head?.resolved ?? []);
  return tips.map((tip) => tip.id).filter((tip) => tip !== id);
}

/**
 * Whether a commit is due though nothing was written: the store was chosen over the newest snapshot, and the remote does not
 * know. A host that took the newest over from another commits nothing: the other goes on from there.
 */
export function isChoiceOpen(view: LogView, { settled }: Pick<RemoteState, 'settled'>): boolean {
  const newest = view.snapshots.at(-1)?.entry.id;
  return newest !== undefined && settled.includes(newest);
}
