import type { DiskFacts } from './disk-facts.ts';

const minRestMs = 5000;
/** The rest is this many times as long as the look was: looks take at most a twentieth of the time, even for a million files. */
const restPerWork = 19;
/** A request is answered within this time, even if the disk is a network disk that does not answer. */
const patienceMs = 2000;

/**
 * A `look` whose result is shared by all requests at the same time, and kept in memory for a while, so that no metrics scraper
 * keeps the disk busy. Resolves to null if the look fails or takes too long. `now` is a clock that never jumps, in milliseconds.
 */
export function restedLook(
  look: () => Promise<DiskFacts>,
  now: () => number,
): () => Promise<DiskFacts | null> {
  let facts: Promise<DiskFacts | null> | undefined;
  let restsUntil = -Infinity;
  const begin = async (): Promise<DiskFacts | null> => {
    const began = now();
    restsUntil = Infinity;
    try {
      return await look();
    } catch {
      return null;
    } finally {
      restsUntil = now() + Math.max(minRestMs, (now() - began) * restPerWork);
    }
  };
  return () => {
    if (facts === undefined || now() >= restsUntil) facts = begin();
    return orNullAfter(patienceMs, facts);
  };
}

async function orNullAfter<T>(ms: number, work: Promise<T>): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<null>((resolve) => {
    timer = setTimeout(resolve, ms, null);
    timer.unref();
  });
  try {
    return await Promise.race([work, tooLate]);
  } finally {
    clearTimeout(timer);
  }
}
