import pMap from 'p-map';
import { eitherSignal } from './abort-signals.ts';

export interface ConcurrentlyOptions {
  /** How many at once. */
  readonly concurrency: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Calls `work` for each item, and resolves to the results in the order of the items. After a failure it begins no more
 * work and aborts the signal of the running work. It rejects with the first error once all work has ended, so that no work is
 * still running when the caller cleans up.
 */
export async function concurrently<T, R>(
  items: Iterable<T> | AsyncIterable<T>,
  { concurrency, signal: asked }: ConcurrentlyOptions,
  work: (item: T, signal: AbortSignal, index: number) => Promise<R>,
): Promise<R[]> {
  const failure = new AbortController();
  const { signal, release } = eitherSignal(failure.signal, asked);
  const underWay = new Set<Promise<unknown>>();
  const follow = async (item: T, index: number): Promise<R> => {
    const running = work(item, signal, index);
    underWay.add(running);
    try {
      return await running;
    } finally {
      underWay.delete(running);
    }
  };
  try {
    return await pMap(items, follow, { concurrency, stopOnError: true });
  } catch (error) {
    failure.abort(error);
    await Promise.allSettled(underWay);
    throw error;
  } finally {
    release();
  }
}

/** Does different kinds of work at the same time. Fails as `concurrently` does. */
export async function allOf<T extends readonly unknown[]>(
  asked: AbortSignal | undefined,
  works: { readonly [K in keyof T]: (signal: AbortSignal) => Promise<T[K]> },
): Promise<T> {
  const each = works as readonly ((signal: AbortSignal) => Promise<unknown>)[];
  const results = await concurrently(each, { concurrency: each.length, signal: asked }, (work, signal) =>
    work(signal),
  );
  return results as unknown as T;
}

export function both<A, B>(
  asked: AbortSignal | undefined,
  one: (signal: AbortSignal) => Promise<A>,
  other: (signal: AbortSignal) => Promise<B>,
): Promise<readonly [A, B]> {
  return allOf<readonly [A, B]>(asked, [one, other]);
}

/** Work that was begun before it is certain to be needed. */
export interface Begun<T> {
  readonly result: Promise<T>;
  /** Aborts it, and resolves once it has ended. */
  cancel(): Promise<void>;
}

export function begin<T>(
  asked: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Begun<T> {
  const stop = new AbortController();
  const { signal, release } = eitherSignal(stop.signal, asked);
  const result = work(signal).finally(release);
  const ended = result.then(
    () => undefined,
    () => undefined,
  );
  return {
    result,
    cancel: () => {
      stop.abort(new Error('it is not needed'));
      return ended;
    },
  };
}

/**
 * Calls work at once, but for what is asked for while the first work is under way: that waits for its end. So the first is done as soon
 * as can be.
 */
export type FirstAlone = <T>(work: () => Promise<T>) => Promise<T>;

export function firstAlone(): FirstAlone {
  let first: Promise<unknown> | undefined;
  return async (work) => {
    if (first !== undefined) {
      await first;
      return work();
    }
    const running = work();
    // Whoever asked for it is told of its failure.
    first = running.catch(() => undefined);
    return running;
  };
}
