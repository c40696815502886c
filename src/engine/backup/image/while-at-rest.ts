import { eitherSignal } from '../../../platform/abort-signals.ts';
import type { StoreAtRest } from '../../../stores/adapter.ts';

/** The image was the store itself, and somebody wrote to it. Not for users: a backup takes a copy instead. */
export class WrittenMeanwhile extends Error {
  constructor(cause?: unknown) {
    super('somebody wrote to the store while it was read', { cause });
  }
}

/** The longest that a program waits which comes while we read: Chroma's clients time out after 30 s. */
const passMs = 200;

/** Reads a store where it lies, and lets programs pass that come meanwhile. Aborts the work once one of them has written. */
export async function whileAtRest<T>(
  asked: AbortSignal | undefined,
  atRest: Pick<StoreAtRest, 'letPass'> | undefined,
  work: (signal: AbortSignal | undefined) => Promise<T>,
): Promise<T> {
  if (atRest === undefined) return work(asked);
  const written = new AbortController();
  const { signal, release } = eitherSignal(written.signal, asked);
  const timer = setInterval(() => {
    if (!atRest.letPass()) written.abort(new WrittenMeanwhile());
  }, passMs);
  try {
    return await work(signal);
  } finally {
    clearInterval(timer);
    release();
  }
}
