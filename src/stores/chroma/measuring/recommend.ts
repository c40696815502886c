import type { MemoryUse } from '../../../platform/memory/memory-use.ts';

/** What was measured with batches of one size. */
export interface AnalyzedBatch {
  readonly records: number;
  /** Until the server acknowledged, milliseconds, the median. */
  readonly addMs: number;
  /** Until the batch was read back, too. */
  readonly medianMs: number;
  readonly slowestMs: number;
  readonly recordsPerSecond: number;
  /** Resident memory of the server's process afterwards. Null if it cannot be seen. */
  readonly serverBytes: number | null;
  /** The fullest of host and containers afterwards. Null if nothing can be seen. */
  readonly memory: MemoryUse | null;
}

export interface Recommendation {
  readonly batchSize: number;
  readonly recordsPerSecond: number;
  readonly slowestMs: number;
}

/** A batch should not hold up the server's other users for longer. */
const targetMs = 1000;
/** Larger batches that bring less than this are not worth their memory. */
const nearlyBest = 0.9;

/** The smallest batch that is nearly as quick as the quickest, of those within the target. If none is, the smallest of all. */
export function recommend(batches: readonly AnalyzedBatch[]): Recommendation {
  const within = batches.filter(({ slowestMs }) => slowestMs <= targetMs);
  const best = Math.max(...within.map(({ recordsPerSecond }) => recordsPerSecond));
  const chosen = within.find(({ recordsPerSecond }) => recordsPerSecond >= nearlyBest * best) ?? batches[0];
  const { records = 1, recordsPerSecond = 0, slowestMs = 0 } = chosen ?? {};
  return { batchSize: records, recordsPerSecond, slowestMs };
}
