import { withRetry } from '../remotes/wrappers/retry.ts';
import type { Context } from '../engine/context.ts';
import { SyncAgentError, isSyncAgentError } from '../platform/errors.ts';
import type { RecordTarget } from '../stores/record-source.ts';

/** Two minutes at most for each call: a server may be restarted meanwhile. Every call of a target can be repeated. */
const policy = { attempts: 6, baseDelayMs: 500, maxDelayMs: 10_000, deadlineMs: 120_000 };

export interface RetryingOptions extends Pick<Context, 'clock' | 'emit'> {
  /** For people: who repeats. */
  readonly operation?: 'import' | 'index' | undefined;
  /** A request about several records that ran into its deadline is not repeated as it is: the caller makes it smaller. */
  readonly isSplit?: boolean | undefined;
}

/** Repeats calls that failed for reasons that may pass, and tells each time. */
export function retryingTarget(
  target: RecordTarget,
  { clock, emit, operation = 'import', isSplit = false }: RetryingOptions,
): RecordTarget {
  const again = <T>(
    signal: AbortSignal | undefined,
    work: () => Promise<T>,
    records: readonly unknown[] = [],
  ): Promise<T> =>
    withRetry(
      async () => {
        try {
          return await work();
        } catch (error) {
          throw isSplit && records.length > 1 ? unlessTimedOut(error) : error;
        }
      },
      { ...policy, clock },
      {
        action: `Writing to "${target.url}"`,
        signal,
        onRetry: ({ attempt, delayMs, error: { message } }) =>
          emit({ type: 'retry', operation, key: target.url, attempt, delayMs, message }),
      },
    );
  return {
    url: target.url,
    removesKeys: target.removesKeys,
    maxBatch: (signal) => again(signal, () => target.maxBatch(signal)),
    find: (place, signal) => again(signal, () => target.find(place, signal)),
    create: async (place, like, signal) =>
      // The answer of an attempt that succeeded may have been lost.
      again(signal, async () => (await target.find(place, signal)) ?? target.create(place, like, signal)),
    count: (collection, signal) => again(signal, () => target.count(collection, signal)),
    byIds: (collection, ids, signal) => again(signal, () => target.byIds(collection, ids, signal), ids),
    add: (collection, records, signal) =>
      again(signal, () => target.add(collection, records, signal), records),
    upsert: (collection, records, signal) =>
      again(signal, () => target.upsert(collection, records, signal), records),
    remove: (collection, ids, signal) => again(signal, () => target.remove(collection, ids, signal)),
  };
}

/** The same error, but not to be repeated. */
function unlessTimedOut(error: unknown): unknown {
  if (!isSyncAgentError(error) || !error.timedOut) return error;
  const { code, message, remedy, outOfReach, cause } = error;
  return new SyncAgentError(code, message, {
    timedOut: true,
    outOfReach,
    cause,
    ...(remedy === undefined ? {} : { remedy }),
  });
}
