import { SyncAgentError } from '../../platform/errors.ts';
import type { Context } from '../context.ts';

/**
 * Asks the remote at a start, for `ms` at most: an application that has a store must not wait for a silent or slow network.
 * Then it rejects with REMOTE_UNREACHABLE at once, and aborts the requests.
 */
export async function askBeforeStart<T>(
  context: Context,
  ms: number,
  question: (context: Context) => Promise<T>,
): Promise<T> {
  const { clock, remote, signal: outer } = context;
  const controller = new AbortController();
  const answered = new AbortController();
  const onAbort = (): void => controller.abort(outer?.reason);
  outer?.addEventListener('abort', onAbort, { once: true });
  if (outer?.aborted === true) onAbort();
  const late = clock.sleep(ms, { signal: answered.signal }).then(
    () => {
      const error = new SyncAgentError(
        'REMOTE_UNREACHABLE',
        `Cannot read the log of ${remote.location}: no answer within the ${ms / 1000} s that a start waits for it`,
        {
          remedy: 'Check the network, the endpoint and the region; --start-timeout gives it more time',
          outOfReach: true,
        },
      );
      controller.abort(error);
      throw error;
    },
    () => new Promise<never>(() => undefined),
  );
  try {
    return await Promise.race([question({ ...context, signal: controller.signal }), late]);
  } finally {
    answered.abort();
    outer?.removeEventListener('abort', onAbort);
  }
}
