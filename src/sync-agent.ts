import type { Agent } from './agent.ts';
import { systemClock } from './clock.ts';
import type { Clock } from './clock.ts';
import type { Daemon, Saved } from './daemon/daemon.ts';
import { factsOf } from './daemon/daemon.ts';
import type { DaemonOperations, OperationsFor } from './daemon/daemon-operations.ts';
import type { DaemonStatus } from './daemon/daemon-status.ts';
import { SyncAgentError } from './errors.ts';
import type { AgentEvent, DaemonEvent, Operation } from './events.ts';
import { defaultSchedule, openDaemon } from './open-daemon.ts';
import type { SyncAgentSettings } from './open-daemon.ts';
import { operationsInProcesses } from './operations/operation-process.ts';

export interface SyncAgentPorts {
  readonly clock?: Clock;
  /** Instead of operations in processes of their own. */
  readonly operationsFor?: OperationsFor;
}

export type SyncAgentEvent = AgentEvent | DaemonEvent;

/**
 * Keeps one store durable, from inside a program. Each operation runs in a process of its own: the program's event
 * loop, memory and file locks are left alone. Prints nothing, installs no signal handler, never ends the process.
 * Every operation takes an AbortSignal and rejects with a SyncAgentError.
 */
export interface SyncAgent extends Omit<Agent, 'look' | 'requests' | 'counts' | 'close'> {
  /** Begins to watch the store and to back it up. BUSY when another agent does already, naming it. */
  start(): Promise<void>;
  /** The store was written: for file systems that do not say so, and for impatient callers. */
  notify(): void;
  /**
   * Ends what `start` began, after a final backup of what is in no snapshot; says whether all was saved. Afterwards
   * the agent may be started again.
   */
  stop(options?: StopOptions): Promise<Saved>;
  /** What this agent knows of itself, without asking anybody. Undefined while it is not started. */
  state(): DaemonStatus | undefined;
  /** Tells every event, in order, until the returned function is called. A listener must not throw. */
  on(listener: (event: SyncAgentEvent) => void): () => void;
}

export interface StopOptions {
  /** Milliseconds for all of it, default 25 s. */
  readonly budgetMs?: number | undefined;
  /** For log and status. */
  readonly why?: string | undefined;
}

/** Puts an agent together. Touches neither disk nor network before the first call. */
export function createSyncAgent(settings: SyncAgentSettings, ports: SyncAgentPorts = {}): SyncAgent {
  const { clock = systemClock } = ports;
  const listeners = new Set<(event: SyncAgentEvent) => void>();
  const emit = (event: SyncAgentEvent): void => {
    for (const listener of listeners) listener(event);
  };
  const operations = operationsInProcesses(settings, { emit });

  let daemon: Daemon | undefined;
  let opening: Promise<Daemon> | undefined;
  const open = async (): Promise<Daemon> => {
    opening ??= openDaemon(settings, { ...ports, command: 'library', emit });
    daemon = await opening;
    return daemon;
  };
  /** Whether asked for or scheduled: one operation at a time. */
  const operate = async <T extends { readonly type: string }>(
    operation: Operation,
    work: (operations: DaemonOperations) => Promise<T>,
  ): Promise<T> =>
    (await open()).operate({
      operation,
      reason: 'demand',
      work,
      describe: (result) => ({ outcome: result.type, snapshot: factsOf(result) }),
    });

  return {
    ...operations,
    backup: (options) => operate('backup', (each) => each.backup(options)),
    restore: (options) => operate('restore', (each) => each.restore(options)),
    sync: (options) => operate('sync', (each) => each.sync(options)),
    start: async () => (await open()).start(),
    notify: () => {
      if (daemon === undefined)
        throw new SyncAgentError('USAGE', 'Cannot notify an agent before it is started');
      daemon.notify();
    },
    state: () => daemon?.status(),
    stop: async ({ budgetMs = defaultSchedule.shutdownBudgetMs, why = 'the program asked for it' } = {}) => {
      if (daemon === undefined) return { isSaved: true, unsavedSinceMs: null };
      const stopped = daemon;
      stopped.tell({ type: 'stopping', reason: why });
      const saved = await stopped.stop({ reason: 'shutdown', deadlineMs: clock.monotonic() + budgetMs });
      stopped.tell({ type: 'stopped', ...saved });
      await stopped.close();
      [daemon, opening] = [undefined, undefined];
      return saved;
    },
    on: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
