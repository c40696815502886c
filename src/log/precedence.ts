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
