import { withRetry } from '../remotes/wrappers/retry.ts';
import type { Context } from '../engine/context.ts';
import type { RecordTarget } from '../stores/record-source.ts';

/** Two minutes at most for each call: a server may be restarted meanwhile. Every call of a target can be repeated. */
const policy = { attempts: 6, baseDelayMs: 500, maxDelayMs: 10_000, deadlineMs: 120_000 };

/** Repeats calls that failed for reasons that may pass, and tells each time. */
export function retryingTarget(target: RecordTarget, { clock, emit }: Context): RecordTarget {
  const again = <T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> =>
    withRetry(
      () => work(),
      { ...policy, clock },
      {
        action: `Writing to "${target.url}"`,
        signal,
        onRetry: ({ attempt, delayMs, error: { message } }) =>
          emit({ type: 'retry', operation: 'import', key: target.url, attempt, delayMs, message }),
      },
    );
  return {
    url: target.url,
    maxBatch: (signal) => again(signal, () => target.maxBatch(signal)),
    find: (place, signal) => again(signal, () => target.find(place, signal)),
    create: async (place, like, signal) =>
      // The answer of an attempt that succeeded may have been lost.
      again(signal, async () => (await target.find(place, signal)) ?? target.create(place, like, signal)),
    count: (collection, signal) => again(signal, () => target.count(collection, signal)),
    byIds: (collection, ids, signal) => again(signal, () => target.byIds(collection, ids, signal)),
    add: (collection, records, signal) => again(signal, () => target.add(collection, records, signal)),
    remove: (collection, ids, signal) => again(signal, () => target.remove(collection, ids, signal)),
  };
}
