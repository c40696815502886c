/** Cases wait most of their time: for timestamps to settle, for what is written to be on disk. */
const lanes = 8;

/** Every effect where SYNC_AGENT_TEST_THOROUGH is set, as in CI; else one of three. */
const stride = process.env['SYNC_AGENT_TEST_THOROUGH'] === '1' ? 1 : 3;

/**
 * Calls `attempt` with 1, 1 + stride, 1 + 2 × stride … until one says that there is no such effect, several at once,
 * so that a few beyond the end are tried in vain. Resolves to the last effect that was reached.
 */
export async function forEachEffect(
  attempt: (n: number) => Promise<boolean>,
  { all = stride === 1 }: { readonly all?: boolean } = {},
): Promise<number> {
  const step = all ? 1 : stride;
  let next = 1;
  let last = 0;
  let isOver = false;
  const lane = async (): Promise<void> => {
    while (!isOver) {
      const n = next;
      next += step;
      try {
        if (await attempt(n)) last = Math.max(last, n);
        else isOver = true;
      } catch (error) {
        isOver = true;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return last;
}
