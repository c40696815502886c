import { describe, expect, it } from 'vitest';
import { SyncAgentError } from '../../../src/platform/errors.ts';
import { defaultRetryPolicy, withRetry, type RetryPolicy } from '../../../src/remotes/wrappers/retry.ts';
import { manualClock } from './manual-clock.ts';

const action = 'put "x" to memory:';
const passing = (retryAfterMs?: number): SyncAgentError =>
  new SyncAgentError('REMOTE_UNREACHABLE', 'SlowDown', {
    retryable: true,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });

function policyWith(changes: Partial<RetryPolicy> = {}): { policy: RetryPolicy; sleeps: readonly number[] } {
  const clock = manualClock();
  return { policy: { ...defaultRetryPolicy, clock, ...changes }, sleeps: clock.sleeps };
}

/** Fails with each error in turn, then resolves to the number of calls. */
function failing(...errors: unknown[]): () => Promise<number> {
  let calls = 0;
  return async () => {
    calls += 1;
    if (calls <= errors.length) throw errors[calls - 1];
    return calls;
  };
}

describe('withRetry', () => {
  it('doubles the ceiling of a jittered pause, and caps it', async () => {
    const { policy, sleeps } = policyWith({ attempts: 11, deadlineMs: 120_000 });
    expect(await withRetry(failing(...Array.from({ length: 10 }, () => passing())), policy, { action })).toBe(
      11,
    );
    expect(sleeps).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000]);
  });

  it('gives up after the last attempt with the last error, without a pause', async () => {
    const { policy, sleeps } = policyWith({ attempts: 3 });
    const last = passing();
    await expect(withRetry(failing(passing(), passing(), last), policy, { action })).rejects.toBe(last);
    expect(sleeps).toHaveLength(2);
  });

  it('repeats nothing but errors that say so', async () => {
    for (const error of [
      new SyncAgentError('DENIED', 'no'),
      new TypeError('defect'),
      new TypeError('fetch failed'),
      new Error('ECONNRESET'),
    ]) {
      const { policy, sleeps } = policyWith();
      await expect(withRetry(failing(error), policy, { action })).rejects.toBe(error);
      expect(sleeps).toEqual([]);
    }
  });

  it('waits as long as the server asks, up to the cap', async () => {
    const { policy, sleeps } = policyWith();
    await withRetry(failing(passing(5000), passing(3_600_000)), policy, { action });
    expect(sleeps).toEqual([5000, 20_000]);
  });

  it('begins no attempt after the deadline', async () => {
    const { policy, sleeps } = policyWith({ deadlineMs: 650 });
    await expect(
      withRetry(failing(passing(), passing(), passing(), passing()), policy, { action }),
    ).rejects.toThrow('SlowDown');
    expect(sleeps).toEqual([100, 200]);
  });

  it('begins no attempt after the deadline, counted from the first trouble where that came before', async () => {
    const { policy, sleeps } = policyWith({ deadlineMs: 650 });
    const startedMs = policy.clock.monotonic() - 500;
    await expect(withRetry(failing(passing(), passing()), policy, { action, startedMs })).rejects.toThrow();
    expect(sleeps).toEqual([100]);
  });

  it('tries no longer than the error says is of use', async () => {
    const { policy, sleeps } = policyWith();
    const refused = new SyncAgentError('REMOTE_UNREACHABLE', 'refused', { retryable: true, retryForMs: 400 });
    await expect(withRetry(failing(refused, refused, refused), policy, { action })).rejects.toBe(refused);
    expect(sleeps).toEqual([100, 200]);
  });

  it('reports each failure with the pause that follows', async () => {
    const { policy } = policyWith();
    const error = passing();
    const seen: unknown[] = [];
    await withRetry(failing(error), policy, { action, onRetry: (failure) => seen.push(failure) });
    expect(seen).toEqual([{ attempt: 1, delayMs: 100, error }]);
  });

  it('ends a pause at once when the signal aborts', async () => {
    const controller = new AbortController();
    const { policy } = policyWith({
      clock: { ...defaultRetryPolicy.clock, random: () => 0.99 },
      baseDelayMs: 60_000,
      maxDelayMs: 60_000,
      deadlineMs: 120_000,
    });
    const onRetry = (): void => {
      setImmediate(() => {
        controller.abort();
      });
    };
    const call = withRetry(failing(passing()), policy, { action, signal: controller.signal, onRetry });
    await expect(call).rejects.toMatchObject({ code: 'INTERRUPTED' });
  });
});
