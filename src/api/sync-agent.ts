import type { AgentEvent, DaemonEvent } from '../platform/events.ts';
import type { CallOptions } from './agent.ts';
import type { DaemonStatus, Saved } from './daemon-status.ts';
import type { Operations } from './operations.ts';
import type { ProtectOptions, ProtectedWork } from './protecting.ts';
import type { RebuildOptions, RebuildResult } from '../engine/rebuild/place-build.ts';

/** All events of an agent: those of an operation and those of the schedule. `type` tells them apart. */
export type SyncAgentEvent = AgentEvent | DaemonEvent;

/**
 * Keeps one store durable, from inside a program. Each operation runs in a process of its own: the program's event
 * loop, memory and file locks are left alone. Prints nothing, installs no signal handler, never ends the process.
 *
 * Every operation takes an AbortSignal and rejects with a SyncAgentError; its code is INTERRUPTED if it was aborted. `backup`, `restore` and
 * `sync` run one at a time. If another program works on the store for longer than `lockWaitMs`, 30 s by default, they
 * reject with BUSY.
 */
export interface SyncAgent extends Omit<
  Operations,
  'localStatus' | 'backUpAndList' | 'followLog' | 'placeBuild'
> {
  /**
   * Begins to watch the store and to back it up; resolves when no change can be missed any more. A second call does nothing. The
   * process lives on until `stop`. BUSY, naming it, if another agent already watches the store; INTERRUPTED if `stop` came first.
   */
  start(options?: CallOptions): Promise<void>;
  /**
   * Does work that may harm the store under guard: a snapshot before it, which is pinned for a while, and a check after it. If the snapshot
   * cannot be made, the work does not begin. Rejects with the work's own error if that fails, and with STORE_CORRUPT if it left the store
   * damaged. Needs no `start`. The work may be nested, and several may run at once.
   */
  protect<T>(name: string, work: ProtectedWork<T>, options?: ProtectOptions): Promise<T>;
  /**
   * Lets `build` make a new store in the directory that it gets, an empty one on the store's file system, while the present store is in
   * use. Then checks it, makes a snapshot of the present store, and puts the new one in its place. `build` runs in this process. When it
   * resolves, nobody may have a file of its directory open any more, nor of the store: BUSY. If it or a check fails, the store stays as it
   * was, and what was built is removed. BUSY at once while another rebuild is under way. Needs no `start`.
   */
  rebuild(
    build: (dir: string) => unknown,
    options?: RebuildOptions & RebuildWait & CallOptions,
  ): Promise<RebuildResult>;
  /**
   * Tells the agent that the store was written: for file systems without events, or to be faster. Cheap enough for every write. USAGE
   * before the first `start`. After `stop` nothing is lost: the next start looks at the store.
   */
  notify(): void;
  /**
   * Ends what `start` began after a final backup of what is in no snapshot, and says whether all was saved. Does not reject. Afterwards
   * the agent may be started again. Without a start it repeats what the last `stop` said, or says that nobody knows.
   */
  stop(options?: StopOptions): Promise<Saved>;
  /** What this agent knows about itself, without a request. Undefined while it is not started. */
  state(): DaemonStatus | undefined;
  /**
   * Calls the listener for every event, in order, until the returned function is called. An error that a listener throws disturbs neither the
   * agent nor other listeners: it becomes the process's `uncaughtException`, as with an EventTarget.
   */
  on(listener: (event: SyncAgentEvent) => void): () => void;
}

export interface RebuildWait {
  /** How long to wait, once the new store is built, until nobody has the old one open, milliseconds; default 0. */
  readonly waitMs?: number | undefined;
}

export interface StopOptions {
  /** Milliseconds for all of it, default 25 s. A backup that takes longer is aborted, and leaves the remote clean. */
  readonly budgetMs?: number | undefined;
  /** Aborts if there is less time than `budgetMs`: a second Ctrl-C, for example. */
  readonly signal?: AbortSignal | undefined;
  /** For log and status. */
  readonly why?: string | undefined;
}
