import type { LogEntry } from '../../log/manifest.ts';
import { SyncAgentError } from '../../platform/errors.ts';
import type { LogPosition } from '../../stores/operation-log.ts';

/** The newest snapshot that two snapshots grew from, and the first one after it on each side. */
export interface CommonSnapshot {
  readonly snapshot: LogEntry;
  /** Undefined if the side is the common snapshot itself, with its log. */
  readonly ours: LogEntry | undefined;
  readonly theirs: LogEntry | undefined;
}

/** REFUSED if there is none. */
export function commonSnapshot(
  entries: readonly LogEntry[],
  ours: LogEntry,
  theirs: LogEntry,
): CommonSnapshot {
  const [a, b] = [lineOf(entries, ours), lineOf(entries, theirs)];
  for (const [index, snapshot] of a.entries()) {
    const other = b.findIndex(({ id }) => id === snapshot.id);
    if (other !== -1) return { snapshot, ours: a[index - 1], theirs: b[other - 1] };
  }
  throw noCommonPosition(ours.id, theirs.id, 'the remote has no snapshot that both grew from');
}

export function noCommonPosition(ours: string, theirs: string, why: string): SyncAgentError {
  return new SyncAgentError('REFUSED', `Cannot merge snapshot ${theirs} into ${ours}: ${why}`, {
    remedy:
      '"sync-agent diff --records" shows in what they differ, and "sync-agent restore --collection" brings a collection over',
  });
}

/** A snapshot and those that it grew from, itself first. */
export function lineOf(entries: readonly LogEntry[], from: LogEntry): readonly LogEntry[] {
  const known = new Map(entries.map((entry) => [entry.id, entry]));
  const line: LogEntry[] = [];
  // Parents are older, so this ends.
  for (let each: LogEntry | undefined = from; each !== undefined;) {
    line.push(each);
    const { parent, generation }: LogEntry = each;
    const next: LogEntry | undefined = parent === null ? undefined : known.get(parent);
    each = next !== undefined && next.generation < generation ? next : undefined;
  }
  return line;
}

/** How many segments of the common snapshot's log one side has: at least, and at most. */
export interface Reach {
  readonly least: number;
  readonly most: number;
}

/**
 * `ends`: where each segment ends. `wasAt`: whether the side was there once. It is unknown where the store's own log has been purged
 * since: then the side may have gone on from there or not.
 */
export function reachOf(
  ends: readonly LogPosition[],
  wasAt: (position: LogPosition) => 'yes' | 'no' | 'unknown',
): Reach {
  let most: number | undefined;
  for (let number = ends.length; number > 0; number -= 1) {
    const answer = wasAt(ends[number - 1] as LogPosition);
    if (answer === 'no') most = undefined;
    else most ??= number;
    if (answer === 'yes') return { least: number, most: most ?? number };
  }
  return { least: 0, most: most ?? 0 };
}

/** What both sides have at least, and at most. */
export const bothReach = (ours: Reach, theirs: Reach): Reach => ({
  least: Math.min(ours.least, theirs.least),
  most: Math.min(ours.most, theirs.most),
});
