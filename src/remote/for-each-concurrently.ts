/** Calls `act` for each item, at most `limit` at a time; after a failure begins no more, waits, and rejects. */
export async function forEachConcurrently<T>(
  items: Iterable<T>,
  limit: number,
  act: (item: T) => Promise<void>,
): Promise<void> {
  const pending = items[Symbol.iterator]();
  let failed = false;
  const work = async (): Promise<void> => {
    for (let next = pending.next(); !failed && next.done !== true; next = pending.next()) {
      try {
        await act(next.value);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const outcomes = await Promise.allSettled(Array.from({ length: limit }, work));
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}
