import type { AgentEvent, DaemonEvent } from '../platform/events.ts';
import type { CallOptions } from './agent.ts';
import type { DaemonStatus, Saved } from './daemon-status.ts';
import type { Operations } from './operations.ts';

/** Everything that an agent tells: what an operation does, and what the schedule does. Told apart by `type`. */
export type SyncAgentEvent = AgentEvent | DaemonEvent;

/**
 * Keeps one store durable, from inside a program. Each operation runs in a process of its own: the program's event
 * loop, memory and file locks are left alone. Prints nothing, installs no signal handler, never ends the process.
 *
 * Every operation takes an AbortSignal, and rejects with a SyncAgentError, when aborted with the code INTERRUPTED. `backup`, `restore` and
 * `sync` run one at a time; when another program works on the store for longer than `lockWaitMs`, 30 s by default, they
 * reject with BUSY.
 */
export interface SyncAgent extends Omit<Operations, 'localStatus' | 'backUpAndList'> {
  /**
   * Begins to watch the store and to back it up; resolves when no change can be missed any more. Once started it does nothing. The
   * process lives on until `stop`. BUSY when another agent watches the store already, naming it; INTERRUPTED when `stop` came first.
   */
  start(options?: CallOptions): Promise<void>;
  /**
   * The store was written: for file systems that do not say so, and for impatient callers. Cheap, and may be called for every write. USAGE
   * before the first `start`; after `stop` nothing is lost, since the next start looks at the store.
   */
  notify(): void;
  /**
   * Ends what `start` began, after a final backup of what is in no snapshot, and says whether all was saved. Does not reject. Afterwards
   * the agent may be started again. While it is not started, it says what the last `stop` said, or that nobody knows.
   */
  stop(options?: StopOptions): Promise<Saved>;
  /** What this agent knows of itself, without asking anybody. Undefined while it is not started. */
  state(): DaemonStatus | undefined;
  /**
   * Tells every event, in order, until the returned function is called. What a listener throws disturbs neither the agent nor the other
   * listeners: it becomes the process's `uncaughtException`, as with an EventTarget.
   */
  on(listener: (event: SyncAgentEvent) => void): () => void;
}

export interface StopOptions {
  /** Milliseconds for all of it, default 25 s. A backup that does not fit is given up, and leaves the remote clean. */
  readonly budgetMs?: number | undefined;
  /** Aborts when there is less time than `budgetMs` said: a second Ctrl-C. */
  readonly signal?: AbortSignal | undefined;
  /** For log and status. */
  readonly why?: string | undefined;
}
