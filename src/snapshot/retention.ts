import type { LogEntry } from './manifest.ts';
import { byPrecedence } from './precedence.ts';

export interface RetentionPolicy {
  /** How many of the newest snapshots are kept, at least 1. */
  readonly keepLast: number;
  /** Milliseconds; nothing younger is ever dropped. */
  readonly graceMs: number;
}

/** A live snapshot with the age of its commit by the server's clock. */
export interface AgedEntry {
  readonly entry: LogEntry;
  readonly ageMs: number;
}

export interface RetentionPlan {
  readonly retained: readonly LogEntry[];
  readonly dropped: readonly LogEntry[];
}

/**
 * Which of the snapshots, the newest last, stay. Kept are the newest `keepLast`, unresolved tips whatever their age, and whatever is younger
 * than the grace period: somebody may be restoring it.
 */
export function planRetention(
  snapshots: readonly AgedEntry[],
  resolved: readonly string[],
  policy: RetentionPolicy,
): RetentionPlan {
  const tips = new Set(
    unresolvedTips(
      snapshots.map((aged) => aged.entry),
      resolved,
    ).map((tip) => tip.id),
  );
  const firstKept = snapshots.length - policy.keepLast;
  const isKept = ({ entry, ageMs }: AgedEntry, index: number): boolean =>
    index >= firstKept || ageMs <= policy.graceMs || tips.has(entry.id);
  return {
    retained: snapshots.filter(isKept).map((aged) => aged.entry),
    dropped: snapshots.filter((aged, index) => !isKept(aged, index)).map((aged) => aged.entry),
  };
}

/**
 * Snapshots that are nobody's parent, the newest last. More than one: hosts wrote beside each other, and a person has
 * to choose. The newest snapshot is always one of them.
 */
export function unresolvedTips(
  snapshots: readonly LogEntry[],
  resolved: readonly string[],
): readonly LogEntry[] {
  const settled = new Set([...snapshots.map((entry) => entry.parent), ...resolved]);
  const ranked = snapshots.toSorted(byPrecedence);
  return ranked.filter((entry, index) => index === ranked.length - 1 || !settled.has(entry.id));
}

/** Whether `ancestor` is `descendant` or one of its parents' parents, as far as the live log knows. */
export function isAncestor(snapshots: readonly LogEntry[], ancestor: string, descendant: string): boolean {
  const parents = new Map(snapshots.map((entry) => [entry.id, entry.parent]));
  const seen = new Set<string>();
  for (let id: string | null | undefined = descendant; id != null; id = parents.get(id)) {
    if (id === ancestor) return true;
    if (seen.has(id)) return false;
    seen.add(id);
  }
  return false;
}
