import type { SaveOptions } from '../agent/final-backup.ts';
import type { Saved } from '../api/daemon-status.ts';

/** What `run` keeps durable, as its supervisor sees it: the schedule and its operations behind four promises. */
export interface RunSubject {
  /**
   * Restores before the command starts. Rejects with a SyncAgentError: the command must not start. An abort ends it
   * with INTERRUPTED and a store that is whole, or whose journal makes it so at the next run.
   */
  restore(options: { readonly signal: AbortSignal }): Promise<void>;
  /** Begins to notice changes and to schedule backups. Called before the command starts, so that no write is missed. */
  start(): Promise<void>;
  /**
   * Stops scheduling and backs up what is not saved. May be called again after it resolved: for a command that was
   * still running and may have written since. A backup that cannot be made is a result, not a rejection.
   */
  stop(options: SaveOptions): Promise<Saved>;
  /**
   * Tells of each step of the operation that runs; `isLocal` while it does not depend on the remote. Returns the way to end
   * it.
   */
  onProgress(listener: (isLocal: boolean) => void): () => void;
  /** Processes that have the store open for writing, other than the agent's own. */
  findWriters(): Promise<readonly Writer[]>;
}

export interface Writer {
  readonly pid: number;
  /** Command line, as far as it can be read. */
  readonly command: string;
}
