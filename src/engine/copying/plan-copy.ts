import type { LogEntry } from '../../log/manifest.ts';
import { byPrecedence, epochOf } from '../../log/precedence.ts';
import { planRetention, unresolvedTips } from '../../log/retention.ts';
import type { RetentionPolicy } from '../../log/retention.ts';

export interface CopyFacts {
  /** The name of the source in its copies. */
  readonly from: string;
  /** Live snapshots of both, the newest last. */
  readonly source: readonly LogEntry[];
  readonly target: readonly LogEntry[];
  /** Tips that are settled in the source. */
  readonly resolved: readonly string[];
  /** Every snapshot of the source; else the newest alone. */
  readonly all: boolean;
  /** Copies beside snapshots that the source knows nothing of. */
  readonly force: boolean;
  /** The target's rule, its pins, and this host's clock. What the rule would drop at once is not copied. */
  readonly policy: RetentionPolicy;
  readonly pinned: readonly string[];
  readonly nowMs: number;
}

export type CopyPlan =
  /** The target's newest snapshot is none of the source's: somebody else works there. */
  | { readonly type: 'refuse'; readonly unknown: string }
  | {
      readonly type: 'copy';
      /**
       * The epoch under which the target's newest snapshot is committed again before anything else, so that older ones that come now rank
       * below it. Undefined if none comes.
       */
      readonly raise: number | undefined;
      /** In the order in which they are committed. */
      readonly steps: readonly CopyStep[];
      /** Snapshots of the target that are settled: in the source they are no unresolved tips. */
      readonly settle: readonly string[];
    };

export interface CopyStep {
  readonly entry: LogEntry;
  /** Of the copy; 0 for none. */
  readonly epoch: number;
  /** The nearest ancestor that the target has by then. */
  readonly parent: string | null;
}

/**
 * Decides which snapshots are copied, and how they rank. At each commit the newest snapshot of the target is one that was the newest of the source,
 * so that whoever restores from the target in the middle of a copy gets the right one. Pure.
 */
export function planCopy(facts: CopyFacts): CopyPlan {
  const { from, source, target, all } = facts;
  const newest = target.at(-1);
  if (newest !== undefined && !facts.force && !isOfSource(facts, newest))
    return { type: 'refuse', unknown: newest.id };
  const present = new Set(target.map(({ id }) => id));
  const wanted = (all ? source : source.slice(-1)).filter(({ id }) => !present.has(id));
  const tips = new Set(unresolvedTips(source, facts.resolved).map(({ id }) => id));
  const copies = [...target.filter(({ copied }) => copied?.from === from), ...wanted];
  const settle = copies.map(({ id }) => id).filter((id) => !tips.has(id));
  const missing = worthKeeping(facts, wanted, settle);
  const isOlder = (entry: LogEntry): boolean =>
    newest !== undefined && byPrecedence(entry, rankOf(newest, source, from)) < 0;
  const older = missing.filter(isOlder);
  const highest = Math.max(0, ...older.map(epochOf));
  const above = newest === undefined ? 0 : epochOf(newest);
  const raise = older.length > 0 && above <= highest ? highest + 1 : undefined;

  const parents = new Map(source.map(({ id, parent }) => [id, parent]));
  const steps: CopyStep[] = [];
  let epoch = raise ?? above;
  for (const entry of missing) {
    if (!isOlder(entry)) epoch = Math.max(epoch, epochOf(entry));
    const own = isOlder(entry) ? epochOf(entry) : epoch;
    steps.push({ entry, epoch: own, parent: nearest(entry.parent, parents, present) });
    present.add(entry.id);
  }
  return { type: 'copy', raise, steps, settle };
}

/** Else each copy of all would send what the target drops each time. */
function worthKeeping(
  { source, target, policy, pinned, nowMs }: CopyFacts,
  wanted: readonly LogEntry[],
  resolved: readonly string[],
): readonly LogEntry[] {
  const known = new Set(source.map(({ id }) => id));
  const there = new Set([...target, ...wanted].map(({ id }) => id));
  const merged = [...target.filter(({ id }) => !known.has(id)), ...source.filter(({ id }) => there.has(id))];
  const aged = merged.map((entry) => ({
    entry,
    // The grace period keeps what is dropped later.
    ageMs: Math.max(policy.graceMs + 1, nowMs - Date.parse(entry.createdAt)),
  }));
  const kept = new Set(planRetention(aged, policy, { resolved, pinned }).retained.map(({ id }) => id));
  return wanted.filter(({ id }) => kept.has(id));
}

/** A copy of this source, one of its own snapshots, or one that its snapshots grew from. */
function isOfSource({ from, source }: CopyFacts, { id, copied }: LogEntry): boolean {
  return copied?.from === from || source.some((entry) => entry.id === id || entry.parent === id);
}

/** Where a snapshot of the target stands among those of the source. One that the source does not know is older than all. */
function rankOf(
  { id, copied }: LogEntry,
  source: readonly LogEntry[],
  from: string,
): Pick<LogEntry, 'generation' | 'epoch'> {
  const known = source.find((entry) => entry.id === id);
  return known ?? (copied?.from === from ? copied : { generation: 0 });
}

function nearest(
  parent: string | null,
  parents: ReadonlyMap<string, string | null>,
  present: ReadonlySet<string>,
): string | null {
  const seen = new Set<string>();
  for (let id: string | null | undefined = parent; id != null && !seen.has(id); id = parents.get(id)) {
    if (present.has(id)) return id;
    seen.add(id);
  }
  return parent;
}
