import { keptByCalendar } from './calendar.ts';
import type { CalendarPolicy, CalendarReason } from './calendar.ts';
import type { LogEntry } from './manifest.ts';
import { byPrecedence } from './precedence.ts';

/** The rules of retention. A snapshot stays if at least one rule keeps it. */
export interface RetentionPolicy extends CalendarPolicy {
  /** Number of newest snapshots to keep, at least 1. */
  readonly keepLast: number;
  /** Milliseconds. Snapshots that are not older by the server's clock are kept. 0 turns the rule off. */
  readonly keepWithinMs: number;
  /** Milliseconds. A younger snapshot is never dropped: another host may be restoring it. */
  readonly graceMs: number;
}

/**
 * How long an operation may rely on what it read at its start: half the grace period, in milliseconds by the server's clock.
 * The other half is the lead of the others. A grace period of 0 means that one host alone uses the remote: nobody else deletes.
 */
export function reliableMs(graceMs: number): number {
  return graceMs === 0 ? Infinity : graceMs / 2;
}

/** A live snapshot with the age of its commit by the server's clock. */
export interface AgedEntry {
  readonly entry: LogEntry;
  readonly ageMs: number;
}

/** Ids of snapshots that people marked. */
export interface Marks {
  /** Tips that are settled. */
  readonly resolved?: readonly string[];
  readonly pinned?: readonly string[];
}

export type KeepReason = 'newest' | 'sound' | 'last' | CalendarReason | 'within' | 'grace' | 'tip' | 'pinned';

export interface RetentionPlan {
  readonly retained: readonly LogEntry[];
  readonly dropped: readonly LogEntry[];
  /** Every rule that keeps a snapshot, by its id, oldest first. The list of a dropped one is empty. */
  readonly reasons: ReadonlyMap<string, readonly KeepReason[]>;
}

/**
 * Which of the snapshots stay, and why. They come with the newest last. The newest always stays, and so do pinned ones and
 * unresolved tips, whatever their age. Ages are by the server's clock. The hosts' clocks decide only which snapshots are of the
 * same hour, day, week or month.
 */
export function planRetention(
  snapshots: readonly AgedEntry[],
  policy: RetentionPolicy,
  { resolved = [], pinned = [] }: Marks = {},
): RetentionPlan {
  const entries = snapshots.map(({ entry }) => entry);
  const marked = keptByMark(entries, { resolved, pinned });
  const byCalendar = keptByCalendar(
    entries.map((entry) => Date.parse(entry.createdAt)),
    policy,
  );
  const firstOfLast = snapshots.length - policy.keepLast;
  return planOf(entries, (entry, index) => {
    const ageMs = snapshots[index]?.ageMs ?? 0;
    return [
      ...marked(entry),
      ...(index >= firstOfLast ? (['last'] as const) : []),
      ...(byCalendar[index] ?? []),
      ...(policy.keepWithinMs > 0 && ageMs <= policy.keepWithinMs ? (['within'] as const) : []),
      ...(ageMs <= policy.graceMs ? (['grace'] as const) : []),
    ];
  });
}

/** The newest snapshot of a store that was not damaged: the one that a restore takes. */
export function newestSound(entries: readonly LogEntry[]): LogEntry | undefined {
  return entries.findLast((entry) => entry.damaged !== true);
}

/** For `clear-history`: only the newest, pinned ones and unresolved tips stay. */
export function planClearing(entries: readonly LogEntry[], marks: Marks): RetentionPlan {
  return planOf(entries, keptByMark(entries, marks));
}

/** For a commit that changes something else: every snapshot stays. */
export function planKeepingAll(entries: readonly LogEntry[]): RetentionPlan {
  return { retained: entries, dropped: [], reasons: new Map() };
}

function keptByMark(
  entries: readonly LogEntry[],
  { resolved = [], pinned = [] }: Marks,
): (entry: LogEntry) => readonly KeepReason[] {
  const newest = entries.at(-1);
  const sound = newestSound(entries);
  const pins = new Set(pinned);
  const tips = new Set(unresolvedTips(entries, resolved).map((tip) => tip.id));
  return (entry) => [
    ...(entry === newest ? (['newest'] as const) : tips.has(entry.id) ? (['tip'] as const) : []),
    ...(entry === sound && entry !== newest ? (['sound'] as const) : []),
    ...(pins.has(entry.id) ? (['pinned'] as const) : []),
  ];
}

function planOf(
  entries: readonly LogEntry[],
  reasonsOf: (entry: LogEntry, index: number) => readonly KeepReason[],
): RetentionPlan {
  const judged = entries.map((entry, index) => ({ entry, reasons: reasonsOf(entry, index) }));
  return {
    retained: judged.filter(({ reasons }) => reasons.length > 0).map(({ entry }) => entry),
    dropped: judged.filter(({ reasons }) => reasons.length === 0).map(({ entry }) => entry),
    reasons: new Map(judged.map(({ entry, reasons }) => [entry.id, reasons])),
  };
}

/**
 * Snapshots that are nobody's parent, the newest last. If there are several, hosts have diverged, and a person must
 * choose one. The newest snapshot is always one of them.
 */
export function unresolvedTips(
  snapshots: readonly LogEntry[],
  resolved: readonly string[],
): readonly LogEntry[] {
  const settled = new Set([...snapshots.map((entry) => entry.parent), ...resolved]);
  const ranked = snapshots.toSorted(byPrecedence);
  return ranked.filter((entry, index) => index === ranked.length - 1 || !settled.has(entry.id));
}

/** Whether `ancestor` is `descendant` itself or one of its ancestors, as far as the live log shows. */
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
