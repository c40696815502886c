import type { LogEntry } from './manifest.ts';

type Ranked = Pick<LogEntry, 'epoch' | 'generation'>;

/**
 * Sorts snapshots, the newest last. A snapshot is newer if its epoch is higher, or if the epochs are equal and its generation is
 * higher. So a host whose lease was taken over can still commit, but its snapshots never hide those of the next holder. Without
 * leases all epochs are 0, and generations decide.
 */
export function byPrecedence(a: Ranked, b: Ranked): number {
  return epochOf(a) - epochOf(b) || a.generation - b.generation;
}

export function epochOf({ epoch = 0 }: Pick<Ranked, 'epoch'>): number {
  return epoch;
}

/**
 * The snapshot before `id`, on its line, that counts more than all that came after it on that line. Its own host lost the lease, went on
 * all the same, and the next holder took up that snapshot's log. Undefined if there is none.
 */
export function outrankingAncestor(snapshots: readonly LogEntry[], id: string): LogEntry | undefined {
  const byId = new Map(snapshots.map((entry) => [entry.id, entry]));
  const newest = byId.get(id);
  let highest = newest;
  const seen = new Set<string>();
  for (let entry = newest; entry !== undefined && !seen.has(entry.id); entry = byId.get(entry.parent ?? '')) {
    seen.add(entry.id);
    if (highest !== undefined && epochOf(entry) > epochOf(highest)) highest = entry;
  }
  return highest === newest ? undefined : highest;
}

/**
 * The epoch of a snapshot that is about to be committed after `snapshots`: the epoch of its host's lease. A host without a
 * lease takes the epoch of the newest snapshot, so that its own becomes the newest, as it does without leases.
 */
export function epochForCommit(
  snapshots: readonly Ranked[],
  lease: number | undefined,
): Pick<LogEntry, 'epoch'> {
  const epoch = lease ?? Math.max(0, ...snapshots.map(epochOf));
  return epoch === 0 ? {} : { epoch };
}
