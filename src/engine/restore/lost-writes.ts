import type { Manifest } from '../../log/manifest.ts';
import type { Context } from '../context.ts';
import type { DamagedStore } from '../soundness/judge-store.ts';
import { messagesOf } from '../soundness/soundness.ts';

/** What was written to a damaged store since the snapshot that took its place. Times are ISO 8601. */
export interface Lost {
  /** When the snapshot was taken. */
  readonly from: string;
  /** The last write to the damaged store, by its files' times. */
  readonly to: string;
  /** How many records fewer the snapshot has; null if those of the damaged store cannot be counted. */
  readonly records: number | null;
}

export function lostSince({ createdAt, statistics }: Manifest, { records, lastWriteMs }: DamagedStore): Lost {
  const fromMs = Date.parse(createdAt);
  return {
    from: new Date(fromMs).toISOString(),
    to: new Date(Math.max(fromMs, lastWriteMs)).toISOString(),
    records: records === null ? null : Math.max(0, records - statistics.records),
  };
}

export function warnOfLoss(
  { emit }: Context,
  snapshotId: string,
  { damage, lost }: { readonly damage: DamagedStore; readonly lost: Lost },
): void {
  emit({
    type: 'warning',
    code: 'STORE_CORRUPT',
    message: `The store was damaged: ${messagesOf(damage.damage)}. Snapshot ${snapshotId} took its place: what was written from ${lost.from} to ${lost.to} is missing`,
    remedy: 'The damaged store is kept as a rollback copy, "sync-agent rollback" lists it',
  });
}
