import type { DiskFacts } from './disk-facts.ts';

const leastRestMs = 5000;
/** Looking may take a twentieth of the time, on a store of a million files too. */
const restPerWork = 19;
/** Whoever asks is answered within this, though the disk be a network that went away. */
const patienceMs = 2000;

/**
 * The same look, shared by all who ask at once and answered from memory while it rests, so that no scraper keeps the
 * disk busy. Null when it failed, or takes too long. `now` never jumps, milliseconds.
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
      restsUntil = now() + Math.max(leastRestMs, (now() - began) * restPerWork);
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
