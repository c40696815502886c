import type { LogEntry } from './manifest.ts';
import { unresolvedTips } from './retention.ts';

export interface ClosedGaps {
  /** The snapshots that stay. The parent of each is its nearest ancestor that stays too. */
  readonly entries: readonly LogEntry[];
  /** Snapshots that would look like another tip only because their children are dropped. */
  readonly settled: readonly string[];
}

/**
 * The log entries of the snapshots that stay when others between them are dropped. Lineage must survive that: a store that
 * equals an old snapshot must still be recognised as an ancestor of the newest, and no new divergence may appear.
 */
export function closeGaps(
  retained: readonly LogEntry[],
  dropped: readonly LogEntry[],
  resolved: readonly string[],
): ClosedGaps {
  const live = new Set(retained.map((entry) => entry.id));
  const parents = new Map(dropped.map((entry) => [entry.id, entry.parent]));
  const nearestLive = (parent: string | null): string | undefined => {
    const seen = new Set<string>();
    for (let id = parent; id !== null && !seen.has(id); id = parents.get(id) ?? null) {
      if (live.has(id)) return id;
      seen.add(id);
    }
    return undefined;
  };
  const entries = retained.map((entry) => ({ ...entry, parent: nearestLive(entry.parent) ?? entry.parent }));
  const lostChild = new Set(dropped.map((entry) => entry.parent));
  return {
    entries,
    settled: unresolvedTips(entries, resolved)
      .filter((tip) => lostChild.has(tip.id))
      .map((tip) => tip.id),
  };
}
