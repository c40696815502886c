import type { SaveOptions } from '../agent/final-backup.ts';
import type { Saved } from '../api/daemon-status.ts';
import type { Writer } from './find-writers.ts';

/** What keeps the store durable while a command runs, as `supervise` sees it. */
export interface StoreKeeper {
  /**
   * Restores before the command starts. Rejects with a SyncAgentError if the command must not start. An abort makes it
   * reject with INTERRUPTED. The store is then whole, or its journal lets the next run complete it.
   */
  restore(options: { readonly signal: AbortSignal }): Promise<void>;
  /** Begins to notice changes and to schedule backups. Called before the command starts, so that no write is missed. */
  start(): Promise<void>;
  /**
   * Stops scheduling, and backs up what is not saved. May be called again after it resolved: a command that was still
   * running may have written since. A backup that fails is a result, not a rejection.
   */
  stop(options: SaveOptions): Promise<Saved>;
  /**
   * Reports each step of the running operation. `isLocal` is true while the operation does not depend on the remote.
   * Returns the function that ends it.
   */
  onProgress(listener: (isLocal: boolean) => void): () => void;
  /** Undefined: damage that is found while the command runs is only told. */
  readonly recovery?: StoreRecovery | undefined;
  /** Processes that have the store open for writing, other than the agent's own. */
  findWriters(): Promise<readonly Writer[]>;
}

/** What a keeper does for a store that is found damaged while the command runs. */
export interface StoreRecovery {
  /** Calls the listener each time that a check finds the store damaged. Returns the function that ends it. */
  onDamage(listener: () => void): () => void;
  /** Puts the newest snapshot in its place, and keeps the damaged one. The command has ended. Rejects if nothing was restored. */
  recover(options: { readonly signal: AbortSignal }): Promise<void>;
}
