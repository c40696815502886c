import { resolve } from 'node:path';
import type { CallOptions } from '../api/agent.ts';
import type { Saved } from '../api/daemon-status.ts';
import type { Operations, OperationsFor } from '../api/operations.ts';
import type { SyncAgent, SyncAgentEvent } from '../api/sync-agent.ts';
import { assertSettings } from './assert-settings.ts';
import { systemClock } from '../platform/clock.ts';
import type { Clock } from '../platform/clock.ts';
import { createProtector } from './protecting/create-protector.ts';
import type { Daemon } from '../agent/daemon.ts';
import type { OperationResult } from '../agent/run-operation.ts';
import { SyncAgentError } from '../platform/errors.ts';
import type { Operation } from '../platform/events.ts';
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

interface DecidedStop {
  readonly budgetMs: number;
  readonly signal: AbortSignal | undefined;
  readonly why: string;
}

/** Puts an agent together. Touches neither disk nor network. USAGE for settings that it cannot use. */
export function createSyncAgent(given: SyncAgentSettings, ports: SyncAgentPorts = {}): SyncAgent {
  assertSettings(given);
  // Relative paths are resolved now: the program may change its working directory.
  const remote = parseRemote(given.remote).url;
  const { lockWaitMs = defaultLockWaitMs } = given;
  const settings: SyncAgentSettings = { ...given, store: resolve(given.store), remote, lockWaitMs };
  const { clock = systemClock } = ports;
  const listeners = createListeners<SyncAgentEvent>();
  const emit = (event: SyncAgentEvent): void => listeners.tell(event);
  const {
    localStatus,
    backUpAndList: _backUpAndList,
    followLog: _followLog,
    placeBuild: _placeBuild,
    ...others
  } = operationsInProcesses(settings, { emit });

  /** The daemon that does the work. It is started once; after a stop another one takes its place. */
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
      // A stop that ended it also closes it.
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
    // Set at once, so that a stop in the next statement finds it.
    starting ??= begin(options);
    return starting;
  };
  /** Runs one operation at a time, with those of the schedule. */
  const operate = async <T extends OperationResult>(
    operation: Operation,
    signal: AbortSignal | undefined,
    work: (operations: Operations, signal: AbortSignal) => Promise<T>,
  ): Promise<T> => (await open()).operate({ operation, reason: 'demand', work }, { signal });

  const backup: SyncAgent['backup'] = async (options) => (await open()).backup(options);
  const restore: SyncAgent['restore'] = (options) =>
    operate('restore', options?.signal, (each, signal) => each.restore({ ...options, signal }));

  return {
    ...others,
    backup,
    // No process of its own: it is asked for with each upload.
    flush: (options) => (watching === undefined ? others.flush(options) : watching.flush(options)),
    restore,
    restoreArchive: (file, options) =>
      operate('restore', options?.signal, (each, signal) =>
        each.restoreArchive(file, { ...options, signal }),
      ),
    protect: createProtector(settings, {
      calls: { ...others, localStatus, backup, restore },
      clock,
      emit,
      intervalMs: settings.intervalMs ?? defaultSchedule.intervalMs,
    }),
    rebuild: async (build, options) => {
      const { createRebuilder } = await import('./rebuilding/create-rebuilder.ts');
      const placeBuild: Operations['placeBuild'] = (id, call) =>
        operate('restore', call?.signal, (each, signal) => each.placeBuild(id, { ...call, signal }));
      return createRebuilder(settings, { calls: { placeBuild }, clock, emit })(build, options);
    },
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
