import { resolve } from 'node:path';
import type { Agent, CallOptions } from '../in-process/agent.ts';
import { assertSettings } from './assert-settings.ts';
import { systemClock } from '../platform/clock.ts';
import type { Clock } from '../platform/clock.ts';
import { equalTo, factsOf } from '../agent/backup-maker.ts';
import type { Daemon } from '../agent/daemon.ts';
import type { Saved } from '../agent/final-backup.ts';
import type { DaemonOperations, OperationsFor } from '../agent/daemon-operations.ts';
import type { DaemonStatus } from '../agent/daemon-status.ts';
import { SyncAgentError } from '../platform/errors.ts';
import type { AgentEvent, DaemonEvent, Operation } from '../platform/events.ts';
import { createListeners } from '../platform/listeners.ts';
import { defaultLockWaitMs, defaultSchedule, openDaemon } from './open-daemon.ts';
import type { SyncAgentSettings } from './open-daemon.ts';
import { operationsInProcesses } from '../operations/operation-process.ts';
import { parseRemote } from '../remotes/remote-url.ts';

/** What an agent works with, replaceable in tests. */
export interface SyncAgentPorts {
  readonly clock?: Clock;
  /** Instead of operations in processes of their own. */
  readonly operationsFor?: OperationsFor;
}

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
export interface SyncAgent extends Omit<Agent, 'look' | 'foreseeSync' | 'requests' | 'counts' | 'close'> {
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

interface DecidedStop {
  readonly budgetMs: number;
  readonly signal: AbortSignal | undefined;
  readonly why: string;
}

/** Puts an agent together. Touches neither disk nor network. USAGE for settings that cannot be understood. */
export function createSyncAgent(given: SyncAgentSettings, ports: SyncAgentPorts = {}): SyncAgent {
  assertSettings(given);
  // As they are meant now: the program may change its working directory.
  const remote = parseRemote(given.remote).url;
  const { lockWaitMs = defaultLockWaitMs } = given;
  const settings: SyncAgentSettings = { ...given, store: resolve(given.store), remote, lockWaitMs };
  const { clock = systemClock } = ports;
  const listeners = createListeners<SyncAgentEvent>();
  const emit = (event: SyncAgentEvent): void => listeners.tell(event);
  const { look: _look, backupTurn: _backupTurn, ...others } = operationsInProcesses(settings, { emit });

  /** Whoever does the work now. It is started once: after a stop another one takes its place. */
  let opened: Promise<Daemon> | undefined;
  let starting: Promise<void> | undefined;
  let stopping: Promise<Saved> | undefined;
  let watching: Daemon | undefined;
  let wasStarted = false;
  let lastSaved: Saved = { isSaved: false, unsavedSinceMs: null };

  const open = (): Promise<Daemon> => {
    opened ??= openDaemon(settings, { ...ports, command: 'library', emit }).catch((error: unknown) => {
      opened = undefined;
      throw error;
    });
    return opened;
  };
  const forget = async (daemon: Daemon): Promise<void> => {
    if (watching === daemon) [opened, starting, watching] = [undefined, undefined, undefined];
    await daemon.close();
  };
  const begin = async (options: CallOptions): Promise<void> => {
    const daemon = await open().catch((error: unknown) => {
      starting = undefined;
      throw error;
    });
    watching = daemon;
    try {
      await daemon.start(options);
    } catch (error) {
      // A stop that ended it closes it, too.
      if (stopping === undefined) await forget(daemon);
      throw error;
    }
  };
  const end = async ({ budgetMs, signal, why }: DecidedStop): Promise<Saved> => {
    const deadlineMs = clock.monotonic() + budgetMs;
    const daemon = await open().catch(() => undefined);
    if (daemon === undefined) return lastSaved;
    try {
      daemon.tell({ type: 'stopping', reason: why });
      lastSaved = await daemon.stop({ reason: 'shutdown', deadlineMs, signal });
      daemon.tell({ type: 'stopped', ...lastSaved });
    } finally {
      await forget(daemon);
    }
    return lastSaved;
  };
  const start = (options: CallOptions = {}): Promise<void> => {
    wasStarted = true;
    const go = (): Promise<void> => start(options);
    if (stopping !== undefined) return stopping.then(go, go);
    // At once, so that a stop in the next statement finds it.
    starting ??= begin(options);
    return starting;
  };
  /** Whether asked for or scheduled: one operation at a time. */
  const operate = async <T extends { readonly type: string; readonly id?: string }>(
    operation: Operation,
    signal: AbortSignal | undefined,
    work: (operations: DaemonOperations, signal: AbortSignal) => Promise<T>,
  ): Promise<T> => {
    const daemon = await open();
    const describe = (result: T) => ({
      outcome: result.type,
      snapshot: factsOf(result),
      equals: equalTo(result),
    });
    return daemon.operate({ operation, reason: 'demand', work, describe }, { signal });
  };

  return {
    ...others,
    backup: async (options) => (await open()).backup(options),
    restore: (options) =>
      operate('restore', options?.signal, (each, signal) => each.restore({ ...options, signal })),
    sync: (options) => operate('sync', options?.signal, (each, signal) => each.sync({ ...options, signal })),
    start,
    notify: () => {
      if (!wasStarted) throw new SyncAgentError('USAGE', 'Cannot notify an agent before it is started');
      watching?.notify();
    },
    state: () => watching?.status(),
    stop: async ({ budgetMs = defaultSchedule.shutdownBudgetMs, signal, why = defaultWhy } = {}) => {
      if (!(budgetMs >= 0))
        throw new SyncAgentError('USAGE', `Cannot stop within ${budgetMs} ms: expected 0 or more`);
      if (starting === undefined) return lastSaved;
      stopping ??= end({ budgetMs, signal, why }).finally(() => (stopping = undefined));
      return stopping;
    },
    on: (listener) => listeners.add(listener),
  };
}

const defaultWhy = 'the program asked for it';
