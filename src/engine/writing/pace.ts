/** How many records go into one request. */
export interface Pace {
  /** Of the next batch. */
  records(): number;
  /** Their size in memory. */
  readonly bytes: number;
  /** A batch was sent and read back. */
  took(records: number, ms: number): void;
  /** A batch of so many was not answered in time. */
  tooSlow(records: number): void;
}

/** Always the same. */
export const fixedPace = (records: number, bytes: number): Pace => ({
  records: () => records,
  bytes,
  took: () => undefined,
  tooSlow: () => undefined,
});

export interface AdaptivePaceOptions {
  readonly most: number;
  readonly bytes: number;
  /** What a batch may take, milliseconds. */
  readonly targetMs?: number | undefined;
}

const firstRecords = 50;
const defaultTargetMs = 1000;

/**
 * Grows while batches take less than half of the target, by half at most; shrinks at once to what the last one says would meet the
 * target, and to half of a batch that was not answered. A batch that was not full says nothing about a larger one.
 */
export function adaptivePace({ most, bytes, targetMs = defaultTargetMs }: AdaptivePaceOptions): Pace {
  let records = Math.min(most, firstRecords);
  const set = (value: number): void => {
    records = Math.max(1, Math.min(most, Math.floor(value)));
  };
  return {
    records: () => records,
    bytes,
    took: (count, ms) => {
      if (ms > targetMs) set(Math.min(records, (count * targetMs) / ms));
      else if (ms < targetMs / 2 && count >= records) set(Math.ceil(records * 1.5));
    },
    tooSlow: (count) => set(Math.min(records, count / 2)),
  };
}
