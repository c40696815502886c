import { eitherSignal } from '../../platform/abort-signals.ts';
import { interrupted } from '../../platform/errors.ts';

/** One at a time, in the order in which they ask. */
export interface TurnQueue {
  /**
   * Runs `work` after all that entered before. `asked` ends the wait for the turn; the work gets a signal that aborts with
   * `asked` or the queue's own.
   */
  enter<T>(work: (signal: AbortSignal) => Promise<T>, asked?: AbortSignal): Promise<T>;
  /** Resolves when all that has entered has ended. */
  empty(): Promise<void>;
}

/** `ending` aborts what runs and what waits. */
export function turnQueue(ending: AbortSignal): TurnQueue {
  let queue: Promise<void> = Promise.resolve();
  return {
    enter: <T>(work: (signal: AbortSignal) => Promise<T>, asked?: AbortSignal): Promise<T> => {
      const { signal, release } = eitherSignal(ending, asked);
      return new Promise<T>((resolve, reject) => {
        const leave = (): void => reject(interrupted('Waiting for another operation', signal.reason));
        const begin = async (): Promise<void> => {
          if (signal.aborted) return leave();
          // From here on the work itself says how it ended.
          signal.removeEventListener('abort', leave);
          await work(signal).then(resolve, reject);
        };
        signal.addEventListener('abort', leave, { once: true });
        queue = queue.then(begin).finally(release);
      });
    },
    empty: () => queue,
  };
}
