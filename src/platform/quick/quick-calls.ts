/**
 * Most calls of a local file system touch memory only and take microseconds. To hand such a call to another thread and to
 * be told of its end takes ten times as long. So calls are made in this thread as long as they are quick, and in another
 * one while they are not, as on a network share: there many of them have to wait at the same time.
 */
export interface QuickCalls {
  /** Makes a call by `here`, in this thread, or by `elsewhere`. Lets timers and signals have their turn now and then. */
  make<T>(here: () => T, elsewhere: () => Promise<T>): T | Promise<T>;
}

/** A call that takes this long on average is not quick. */
const quickMs = 0.25;
/** How much one call counts in the average. */
const weight = 1 / 16;
/** After so many calls elsewhere, it is tried again whether they are quick. */
const callsElsewhere = 1000;
/** No timer or signal waits longer than this because of calls that are quick. */
const turnMs = 10;

export function createQuickCalls(now: () => number = () => performance.now()): QuickCalls {
  let meanMs = 0;
  let leftElsewhere = 0;
  /** When the present turn of the event loop was first seen; undefined before the first call in it. */
  let turnStartMs: number | undefined;

  const nextTurn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
  const makeHere = <T>(here: () => T): T => {
    const startedMs = now();
    if (turnStartMs === undefined) {
      turnStartMs = startedMs;
      setImmediate(() => (turnStartMs = undefined));
    }
    try {
      return here();
    } finally {
      meanMs += (now() - startedMs - meanMs) * weight;
      if (meanMs > quickMs) {
        meanMs = 0;
        leftElsewhere = callsElsewhere;
      }
    }
  };
  const make = <T>(here: () => T, elsewhere: () => Promise<T>): T | Promise<T> => {
    if (leftElsewhere > 0) {
      leftElsewhere -= 1;
      return elsewhere();
    }
    if (turnStartMs !== undefined && now() - turnStartMs > turnMs) {
      return nextTurn().then(() => make(here, elsewhere));
    }
    return makeHere(here);
  };
  return { make };
}

/** Of all file systems together: a slow one among them makes the others no slower than another thread is. */
export const quickCalls = createQuickCalls();
