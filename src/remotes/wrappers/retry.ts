import pRetry from 'p-retry';
import { systemClock, type Clock } from '../../platform/clock.ts';
import { interrupted, isSyncAgentError, throwIfAborted, type SyncAgentError } from '../../platform/errors.ts';

export interface RetryPolicy {
  /** Calls in all, the first included. */
  readonly attempts: number;
  /** The pause before attempt n+1 is uniform in [0, base * 2^(n-1)): full jitter, so that many hosts spread out. */
  readonly baseDelayMs: number;
  /** Caps one pause, a server's Retry-After included. */
  readonly maxDelayMs: number;
  /** No attempt begins later than this after the first. */
  readonly deadlineMs: number;
  readonly clock: Clock;
}

export const defaultRetryPolicy: RetryPolicy = {
  attempts: 8,
  baseDelayMs: 200,
  maxDelayMs: 20_000,
  deadlineMs: 35_000,
  clock: systemClock,
};

/** For calls with a body, each attempt of which may take half a minute to find out that the server is silent. */
export function patient(policy: RetryPolicy): RetryPolicy {
  return { ...policy, deadlineMs: 3 * policy.deadlineMs };
}

export interface FailedAttempt {
  /** 1 for the first call. */
  readonly attempt: number;
  /** The pause that follows. */
  readonly delayMs: number;
  readonly error: SyncAgentError;
}

export interface RetryOptions {
  /** For the message when the signal aborts: `put "x" to s3://bucket`. */
  readonly action: string;
  readonly signal?: AbortSignal | undefined;
  readonly onRetry?: ((failure: FailedAttempt) => void) | undefined;
  /** When what is repeated here was first in trouble, on the policy's monotonic clock; default now. */
  readonly startedMs?: number | undefined;
}

/**
 * Calls `fn` until it resolves, fails for good (an error that is not `retryable`), or the policy is used up; then
 * rejects with the last error. An aborted signal ends a pause at once with INTERRUPTED.
 */
export async function withRetry<T>(
  fn: (attempt: number) => Promise<T>,
  policy: RetryPolicy,
  options: RetryOptions,
): Promise<T> {
  const { clock } = policy;
  const { action, signal } = options;
  const { startedMs: started = clock.monotonic() } = options;
  throwIfAborted(signal, action);
  // Nearly every call is one attempt, which needs nothing of what follows.
  let first: { readonly error: unknown };
  try {
    return await fn(1);
  } catch (error) {
    first = { error };
  }
  let again = false;
  return pRetry(
    (attempt) => {
      if (attempt === 1) throw first.error;
      throwIfAborted(signal, action);
      return fn(attempt);
    },
    {
      retries: policy.attempts - 1,
      // The pause is ours, in onFailedAttempt, because p-retry's own timers cannot be replaced by a test's clock.
      minTimeout: 0,
      onFailedAttempt: async ({ error, attemptNumber, retriesLeft }) => {
        again = false;
        if (!isSyncAgentError(error) || !error.retryable || retriesLeft === 0) return;
        const delayMs = pauseAfter(attemptNumber, error, policy);
        const longestMs = Math.min(policy.deadlineMs, error.retryForMs);
        if (clock.monotonic() - started + delayMs > longestMs) return;
        options.onRetry?.({ attempt: attemptNumber, delayMs, error });
        await clock.sleep(delayMs, { signal }).catch((cause: unknown) => {
          throw signal?.aborted === true ? interrupted(action, signal.reason) : cause;
        });
        again = true;
      },
      shouldRetry: () => again,
    },
  );
}

function pauseAfter(attempt: number, error: SyncAgentError, policy: RetryPolicy): number {
  const ceiling = Math.min(policy.maxDelayMs, policy.baseDelayMs * 2 ** (attempt - 1));
  const asked = Math.min(policy.maxDelayMs, error.retryAfterMs ?? 0);
  return Math.max(asked, Math.floor(policy.clock.random() * ceiling));
}
