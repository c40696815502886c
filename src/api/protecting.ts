import type { ProtectionOptions } from '../engine/protecting/plan-protection.ts';
import type { CallOptions } from './agent.ts';

/** What protected work is told. */
export interface ProtectedContext {
  /** The snapshot to which one can go back; null for a read, which gets none. */
  readonly snapshot: string | null;
  /** That of the call. The work itself decides what to do when it aborts. */
  readonly signal: AbortSignal | undefined;
  /** Ids in the operation log: of the operations within which the work is done, this one last. */
  readonly operations: readonly string[];
}

export type ProtectedWork<T> = (context: ProtectedContext) => T | Promise<T>;

export interface ProtectOptions extends ProtectionOptions, Omit<CallOptions, 'within'> {}
