import type { LogEntry } from './manifest.ts';

type Ranked = Pick<LogEntry, 'epoch' | 'generation'>;

/**
 * Which snapshot is newer: that of the higher epoch, and of one epoch that of the higher generation. So a host whose
 * lease was taken over can still commit, and never hides what the next holder committed. Without leases all epochs
 * are 0, and generations decide.
 */
export function byPrecedence(a: Ranked, b: Ranked): number {
  return epochOf(a) - epochOf(b) || a.generation - b.generation;
}

export function epochOf({ epoch = 0 }: Pick<Ranked, 'epoch'>): number {
  return epoch;
}

/**
 * The epoch of a snapshot that is about to be committed after `snapshots`: that of its host's lease. A host without
 * one takes the newest snapshot's, so that it becomes the newest, as it does where nobody has a lease.
 */
export function stampOf(snapshots: readonly Ranked[], lease: number | undefined): Pick<LogEntry, 'epoch'> {
  const epoch = lease ?? Math.max(0, ...snapshots.map(epochOf));
  return epoch === 0 ? {} : { epoch };
}
