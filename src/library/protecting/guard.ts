import type { Agent } from '../../api/agent.ts';
import type { Protection } from '../../engine/protecting/plan-protection.ts';
import type { LoggedAccess, OpenEntry } from '../../in-process/logged-access.ts';
import type { Clock } from '../../platform/clock.ts';
import { SyncAgentError, isSyncAgentError, messageOf } from '../../platform/errors.ts';
import type { Emit } from '../../platform/events.ts';

/** What a guard calls. Each call waits for its turn. */
export type ProtectingCalls = Pick<
  Agent,
  'backup' | 'pin' | 'localStatus' | 'check' | 'restore' | 'operationLog'
>;

export interface ProtectContext {
  readonly calls: ProtectingCalls;
  readonly log: LoggedAccess;
  readonly clock: Clock;
  readonly emit: Emit;
  /** How old a snapshot may be that is good enough for ordinary work. */
  readonly intervalMs: number;
}

/** A store that somebody begins to write while it is checked is looked at again so often. */
const checkTries = 3;
const checkPauseMs = 500;

interface Guarded {
  readonly name: string;
  readonly plan: Extract<Protection, { type: 'guarded' }>;
  readonly entry: OpenEntry;
  readonly enclosing: readonly string[];
}

/** `untouched`: nothing was written since the snapshot. `unknown`: the check could not be made. */
type Verdict =
  | { readonly type: 'untouched' }
  | { readonly type: 'sound' }
  | { readonly type: 'damaged'; readonly why: string }
  | { readonly type: 'unknown'; readonly why: string };

/** What is done before and after the work of one protected operation. */
export class Guard {
  readonly #context: ProtectContext;
  readonly #guarded: Guarded;

  constructor(context: ProtectContext, guarded: Guarded) {
    this.#context = context;
    this.#guarded = guarded;
  }

  /** Resolves to the snapshot to which one can go back. */
  async before(signal: AbortSignal | undefined): Promise<string> {
    const { calls } = this.#context;
    const { name, plan, entry } = this.#guarded;
    const call = { signal, within: entry.id };
    try {
      const result = await calls.backup({ ...plan.backup, ...call });
      if (result.type === 'planned') throw new SyncAgentError('INTERNAL', 'it was a dry run');
      if (result.type !== 'committed' && plan.pin !== undefined)
        await calls.pin(result.id, { ...plan.pin, ...call });
      entry.tell({ snapshot: result.id });
      return result.id;
    } catch (error) {
      const { code, remedy, outOfReach, retryable } = asError(error);
      throw new SyncAgentError(
        code,
        `Cannot begin "${name}": its snapshot could not be made: ${messageOf(error)}`,
        { cause: error, outOfReach, retryable, ...(remedy === undefined ? {} : { remedy }) },
      );
    }
  }

  async afterSuccess(snapshot: string): Promise<void> {
    const { name, plan } = this.#guarded;
    const verdict = await this.#look(snapshot);
    if (verdict.type === 'unknown')
      this.#warn(`The store could not be checked after "${name}": ${verdict.why}`);
    if (verdict.type !== 'damaged') return;
    const isRestored = plan.onFailure === 'restore';
    if (isRestored) await this.#restore(snapshot, verdict.why);
    throw new SyncAgentError('STORE_CORRUPT', `The store was damaged during "${name}": ${verdict.why}`, {
      remedy: isRestored
        ? `Snapshot ${snapshot} was restored; the damaged store is a rollback copy`
        : backRemedy(snapshot),
    });
  }

  async afterFailure(snapshot: string, error: unknown): Promise<void> {
    const { name, plan } = this.#guarded;
    const verdict = await this.#look(snapshot);
    if (verdict.type === 'untouched') return;
    if (plan.onFailure === 'restore') return this.#restore(snapshot, messageOf(error), error);
    if (verdict.type !== 'sound')
      this.#warn(
        verdict.type === 'damaged'
          ? `"${name}" failed, and the store was damaged during it: ${verdict.why}`
          : `The store could not be checked after "${name}", which failed: ${verdict.why}`,
        backRemedy(snapshot),
      );
  }

  /** Nothing is read if nothing was written since the snapshot. */
  async #look(snapshot: string): Promise<Verdict> {
    const { calls, clock } = this.#context;
    const { entry } = this.#guarded;
    const verdict = await this.#judge(calls, clock, snapshot);
    if (verdict.type !== 'unknown') entry.tell({ isSound: verdict.type !== 'damaged' });
    return verdict;
  }

  async #judge(calls: ProtectingCalls, clock: Clock, snapshot: string): Promise<Verdict> {
    try {
      const { exists, isUnchanged, parent } = await calls.localStatus();
      if (!exists) return { type: 'damaged', why: 'it is gone' };
      if (isUnchanged && parent === snapshot) return { type: 'untouched' };
      for (let tries = 1; ; tries += 1) {
        try {
          const { damage } = await calls.check();
          return damage.length === 0
            ? { type: 'sound' }
            : { type: 'damaged', why: damage.map(({ message }) => message).join('; ') };
        } catch (error) {
          if (!isSyncAgentError(error, 'BUSY') || tries >= checkTries) throw error;
          await clock.sleep(checkPauseMs);
        }
      }
    } catch (error) {
      return { type: 'unknown', why: messageOf(error) };
    }
  }

  /** `why` it has to be. BUSY, and nothing is done, while a process has the store open or another protected operation runs. */
  async #restore(snapshot: string, why: string, cause?: unknown): Promise<void> {
    const { calls } = this.#context;
    const { name, entry } = this.#guarded;
    try {
      await this.#assertAlone();
      const result = await calls.restore({ snapshot, within: entry.id });
      const rollbackCopy = result.type === 'restored' ? result.rollbackCopy : undefined;
      entry.tell({ isSound: true, ...(rollbackCopy === undefined ? {} : { rollbackCopy }) });
    } catch (error) {
      const { code, outOfReach } = asError(error);
      throw new SyncAgentError(
        code,
        `"${name}" failed (${why}), and the store was not restored: ${messageOf(error)}`,
        { cause: cause ?? error, outOfReach, remedy: backRemedy(snapshot) },
      );
    }
  }

  async #assertAlone(): Promise<void> {
    const { calls } = this.#context;
    const { entry, enclosing } = this.#guarded;
    const other = (await calls.operationLog()).find(
      ({ operation, state, id }) =>
        operation === 'protect' && state === 'running' && id !== entry.id && !enclosing.includes(id),
    );
    if (other === undefined) return;
    throw new SyncAgentError('BUSY', `"${other.name}" is running, too (pid ${other.pid} on ${other.host})`);
  }

  #warn(message: string, remedy?: string): void {
    this.#context.emit({
      type: 'warning',
      code: 'STORE_CORRUPT',
      message,
      ...(remedy === undefined ? {} : { remedy }),
    });
  }
}

const backRemedy = (snapshot: string): string =>
  `To go back, stop what has the store open and run "sync-agent restore --snapshot ${snapshot}"`;

function asError(error: unknown): SyncAgentError {
  return error instanceof SyncAgentError
    ? error
    : new SyncAgentError('INTERNAL', messageOf(error), { cause: error });
}
