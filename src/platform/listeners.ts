/** Whoever listens to what one source tells. */
export interface Listeners<T> {
  /** Tells every listener, in the order they were added. Never throws. */
  tell(event: T): void;
  /** Returns the way to end it. A function that is added twice is told twice. */
  add(listener: (event: T) => void): () => void;
}

/**
 * What a listener throws is its own program's error, and must not stop a backup: the others are told, the work goes on,
 * and the error is thrown anew with nobody to catch it, as by an EventTarget of Node.
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
