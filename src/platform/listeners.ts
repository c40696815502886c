/** The listeners of one source of events. */
export interface Listeners<T> {
  /** Calls every listener, in the order in which they were added. Never throws. */
  tell(event: T): void;
  /** Returns the function that removes the listener again. A listener that is added twice is called twice. */
  add(listener: (event: T) => void): () => void;
}

/**
 * An error of a listener must not stop a backup. The other listeners are called, the work goes on, and the error is thrown
 * again as an uncaught exception, as Node's EventTarget does.
 */
export function createListeners<T>(): Listeners<T> {
  const listeners = new Set<{ readonly listener: (event: T) => void }>();
  return {
    tell: (event) => {
      for (const { listener } of listeners) {
        try {
          listener(event);
        } catch (error) {
          queueMicrotask(() => {
            throw error;
          });
        }
      }
    },
    add: (listener) => {
      const added = { listener };
      listeners.add(added);
      return () => void listeners.delete(added);
    },
  };
}
