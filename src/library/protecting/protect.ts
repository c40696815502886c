import { AsyncLocalStorage } from 'node:async_hooks';
import type { ProtectOptions, ProtectedWork } from '../../api/protecting.ts';
import { planProtection } from '../../engine/protecting/plan-protection.ts';
import { enclosingOperations } from '../../in-process/logged-access.ts';
import { Guard } from './guard.ts';
import type { ProtectContext } from './guard.ts';

/** The ids of the operations within which this code runs, the outermost first. */
const running = new AsyncLocalStorage<readonly string[]>();

/**
 * Does risky work under guard:
 *
 *     1 log: it begins        a crash from here on leaves an open operation in the log
 *     2 a snapshot, pinned    it cannot be made: the work does not begin
 *     3 the work
 *     4 the store is checked  unless nothing was written
 *     5 it failed: keep, or restore the snapshot, under the journal of every restore
 *     6 log: it has ended
 *
 * Rejects with the work's own error if that failed; with STORE_CORRUPT if it left the store damaged.
 */
export async function protect<T>(
  context: ProtectContext,
  name: string,
  work: ProtectedWork<T>,
  options: ProtectOptions = {},
): Promise<T> {
  const { log, intervalMs } = context;
  const { signal } = options;
  const plan = planProtection(name, options, { intervalMs });
  if (plan.type === 'none') return work({ snapshot: null, signal, operations: [] });
  const enclosing = [...enclosingOperations(), ...(running.getStore() ?? [])];
  const within = enclosing.at(-1);
  const { value } = await log.call('protect', { name, within, signal }, async (entry) => {
    const guard = new Guard(context, { name, plan, entry, enclosing });
    const snapshot = await guard.before(signal);
    const path = [...enclosing, entry.id];
    let result: { readonly value: T };
    try {
      result = { value: await running.run(path, async () => work({ snapshot, signal, operations: path })) };
    } catch (error) {
      await guard.afterFailure(snapshot, error);
      throw error;
    }
    await guard.afterSuccess(snapshot);
    return result;
  });
  return value;
}
