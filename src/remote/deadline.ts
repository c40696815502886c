import { SyncAgentError } from '../errors.ts';

export interface DeadlineOptions {
  /** Milliseconds. */
  readonly ms: number;
  /** For the message: `put "x" to s3://bucket`. */
  readonly action: string;
  readonly signal?: AbortSignal | undefined;
}

/** Node's timers hold no more. */
const largestTimerMs = 2 ** 31 - 1;

/**
 * How long one transfer may take in all, milliseconds: silence is noticed earlier, so this is for servers that trickle.
 * A link of 1 kB/s is the slowest that is still waited for.
 */
export function deadlineMs(silenceMs: number, bytes: number): number {
  return Math.min(20 * silenceMs + bytes, largestTimerMs);
}

/**
 * Runs one request, and gives it up as REMOTE_UNREACHABLE, retryable, when its answer is not there after `ms`:
 * however busily a server trickles bytes, and also where something that was told to stop does not.
 */
export async function withDeadline<T>(
  request: (options: { readonly abortSignal: AbortSignal }) => Promise<T>,
  { ms, action, signal }: DeadlineOptions,
): Promise<T> {
  const controller = new AbortController();
  const onAbort = (): void => controller.abort(signal?.reason);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const message = `Cannot ${action}: no complete answer after ${ms} ms`;
      reject(new SyncAgentError('REMOTE_UNREACHABLE', message, { retryable: true }));
      controller.abort();
    }, ms);
  });
  signal?.addEventListener('abort', onAbort, { once: true });
  if (signal?.aborted === true) onAbort();
  try {
    return await Promise.race([request({ abortSignal: controller.signal }), late]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }
}
