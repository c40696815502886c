import { aborted, eitherSignal } from '../platform/abort-signals.ts';
import { longestTimerMs } from '../platform/clock.ts';
import type { Clock } from '../platform/clock.ts';
import type { BackupOptions, BackupResult } from '../engine/backup/backup.ts';
import { SyncAgentError, isSyncAgentError, messageOf, throwIfAborted } from '../platform/errors.ts';
import type { AgentEvent, BackupReason, DaemonEvent } from '../platform/events.ts';
import { epochMsOf } from '../log/layout.ts';
import type { FileSystem } from '../platform/file-system.ts';
import type { Home } from '../home/home.ts';
import { lockAgent } from '../home/lock.ts';
import type { Lock } from '../home/lock.ts';
import { createBackups } from './backups.ts';
import type { DaemonStatus, RecordedEvent, Saved } from '../api/daemon-status.ts';
import type { Operations, OperationsFor } from '../api/operations.ts';
import { finalBackup } from './final-backup.ts';
import type { SaveOptions } from './final-backup.ts';
import { fixedTimes } from './schedule/fixed-times.ts';
import { createLeaseKeeper } from './lease-keeper.ts';
import type { TakeOptions } from './lease-keeper.ts';
import { listenForNotifications } from './notifications.ts';
import { operationRunner } from './run-operation.ts';
import type { OperationCall, OperationResult } from './run-operation.ts';
import type { ScheduleSettings } from './schedule/schedule.ts';
import { createScheduler } from './schedule/scheduler.ts';
import type { StartPoint } from './schedule/scheduler.ts';
import { createStatusRecorder } from './status-recorder.ts';
import { statusFileWriter } from './status-file.ts';
import { watchStore } from './watch/watcher.ts';
import type { Watcher } from './watch/watcher.ts';

export interface DaemonSettings {
  readonly intervalMs: number;
  readonly settleMs: number;
  /** Additional fixed times. */
  readonly cron: string | null;
  readonly detect: 'auto' | 'events' | 'poll';
  readonly pollIntervalMs: number;
  /** How long this host's lease lasts when it dies; null: it takes none. */
  readonly leaseMs: number | null;
}

export interface DaemonOptions {
  readonly settings: DaemonSettings;
  readonly home: Home;
  /** For people. */
  readonly remote: string;
  readonly version: string;
  readonly host: string;
  /** The command it is run as, for whoever finds the store taken. */
  readonly command: string;
  readonly operationsFor: OperationsFor;
  readonly clock: Clock;
  readonly fs: FileSystem;
  readonly emit: (event: AgentEvent | DaemonEvent) => void;
}

interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

/** The agent that keeps running beside one store. It is started once, and stopped for good. */
export interface Daemon {
  /** Makes this the store's one agent. BUSY, naming the other one. `start` does it, too. */
  claim(): Promise<void>;
  /** An operation that somebody asked for, when no other runs. Ended by `signal`, and by a `stop` that has no time left. */
  operate<T extends OperationResult>(
    call: Pick<OperationCall<T>, 'operation' | 'reason'> & {
      readonly work: (operations: Operations, signal: AbortSignal) => Promise<T>;
    },
    options?: CallOptions,
  ): Promise<T>;
  /** A backup that somebody asked for: as `operate`, and the schedule goes on from it. */
  backup(options?: BackupOptions & CallOptions): Promise<BackupResult>;
  /**
   * Takes the lease, where the settings ask for one, after whoever has it. `start` does it as well, when it is free.
   */
  takeLease(options: TakeOptions): Promise<void>;
  /** Begins to watch the store and to back up. Asked again it is the same start. After a rejection only `close` is left. */
  start(options?: CallOptions): Promise<void>;
  notify(): void;
  status(): DaemonStatus;
  subscribe(listener: (recorded: RecordedEvent) => void): () => void;
  /** Records an event, and passes it on. */
  tell(event: AgentEvent | DaemonEvent): void;
  /**
   * Stops watching and scheduling, and backs up what is in no snapshot. May be called again, for what was written since. A
   * backup that cannot be made is a result, not a rejection.
   */
  stop(options: SaveOptions): Promise<Saved>;
  /** Lets another agent have the store. */
  close(): Promise<void>;
}

const releaseMs = 3000;

export function createDaemon(options: DaemonOptions): Daemon {
  const { settings, home, clock, fs, operationsFor } = options;
  const schedule: ScheduleSettings = {
    intervalMs: settings.intervalMs,
    settleMs: Math.min(settings.settleMs, settings.intervalMs === 0 ? Infinity : settings.intervalMs / 2),
    nextFixedTime: settings.cron === null ? undefined : fixedTimes(settings.cron),
  };
  const warn = (message: string): void => emit({ type: 'warning', code: 'NOTICE', message });
  const recorder = createStatusRecorder(
    {
      version: options.version,
      pid: process.pid,
      host: options.host,
      store: home.store,
      remote: options.remote,
      intervalMs: settings.intervalMs,
      cron: settings.cron,
    },
    { clock },
  );
  const statusFile = statusFileWriter(fs, home, { clock, status: () => recorder.status() });
  const emit = (event: AgentEvent | DaemonEvent): void => {
    recorder.record(event);
    options.emit(event);
    if (event.type !== 'progress' && event.type !== 'phase') statusChanged();
  };
  /** Beside another agent's store nothing is written: the file is that agent's. */
  const statusChanged = (): void => {
    if (isClaimed) statusFile.changed();
  };
  const run = operationRunner({
    operationsFor,
    clock,
    emit,
    onSnapshot: (id) => recorder.recordSnapshot(id),
  });
  const keeper =
    settings.leaseMs === null
      ? undefined
      : createLeaseKeeper({
          ttlMs: settings.leaseMs,
          run,
          clock,
          onChange: (lease) => {
            recorder.recordLease(lease);
            statusChanged();
          },
        });

  const stopping = new AbortController();
  const ending = new AbortController();

  const backups = createBackups({
    run,
    onHistory: (snapshots) => recorder.recordHistory(snapshots),
    clock,
    stopping: stopping.signal,
    intervalMs: settings.intervalMs,
    epoch: () => keeper?.epoch(),
  });
  const scheduler = createScheduler({
    settings: schedule,
    clock,
    emit,
    backUp: backups.scheduled,
    onState: (state, next) => {
      recorder.recordSchedule(state, next);
      statusChanged();
    },
  });

  let claiming: Promise<Lock> | undefined;
  let isClaimed = false;
  let starting: Promise<void> | undefined;
  let watcher: Watcher | undefined;
  let listening: Promise<void> | undefined;
  let readingHistory: Promise<void> | undefined;
  let keeping: Promise<void> | undefined;

  const claim = async (): Promise<void> => {
    claiming ??= lockAgent(fs, home, { command: options.command });
    try {
      await claiming;
    } catch (error) {
      claiming = undefined;
      throw error;
    }
    isClaimed = true;
    statusChanged();
  };
  /** Asks this host's record where the store stands. */
  const lookAround = async (signal: AbortSignal): Promise<StartPoint> => {
    const look = await operationsFor({ ...unheard, emit }).look({ signal });
    if (look.parent !== undefined) recorder.recordSnapshot(look.parent);
    return {
      dirtySinceMs: look.isUnchanged || !look.exists ? null : (look.writtenAtMs ?? clock.now()),
      lastSnapshotAtMs: look.parent === undefined ? null : epochMsOf(look.parent),
    };
  };
  /** For the status alone; what fails here will fail a backup, which says so. */
  const readHistory = async (): Promise<void> => {
    const snapshots = await operationsFor(unheard)
      .list({ signal: stopping.signal })
      .catch(() => undefined);
    if (snapshots !== undefined) recorder.recordHistory(snapshots);
  };
  const begin = async (asked: AbortSignal | undefined): Promise<void> => {
    const either = eitherSignal(stopping.signal, asked);
    const { signal } = either;
    const goOn = (): void => throwIfAborted(signal, `Starting to watch "${home.store}"`);
    try {
      goOn();
      await claim();
      goOn();
      // First the watch, then the look: a change in between is seen by both rather than by none.
      watcher = await watchStore({
        store: home.store,
        exclude: home.exclude,
        detect: settings.detect,
        pollIntervalMs: settings.pollIntervalMs,
        clock,
        emit,
        onChange: (source, atMs) => scheduler.changed(source, atMs),
        onTrouble: (message) => {
          warn(`Cannot look at the store "${home.store}": ${message}`);
          scheduler.changed('polling', clock.now());
        },
      });
      goOn();
      listening = listenForNotifications(home, {
        clock,
        signal: stopping.signal,
        onNotice: () => scheduler.changed('notify', clock.now()),
      });
      keeping = keeper?.keep(ending.signal);
      const from = await lookAround(signal);
      goOn();
      emit({ type: 'started', intervalMs: settings.intervalMs, cron: settings.cron });
      scheduler.start(from);
      readingHistory = readHistory();
    } catch (error) {
      stopping.abort(error);
      await Promise.all([watcher?.stop(), listening]);
      throw error;
    } finally {
      either.release();
    }
  };

  return {
    claim,
    operate: ({ operation, reason, work }, { signal: asked } = {}) =>
      scheduler.exclusively(async (signal) => {
        const result = await run({ operation, reason, work: (operations) => work(operations, signal) });
        // What was done is done, whatever becomes of the watch.
        await watcher?.again().catch((error: unknown) => {
          warn(`Cannot look at the store "${home.store}": ${messageOf(error)}`);
        });
        return result;
      }, asked),
    backup: ({ signal, ...backupOptions } = {}) =>
      scheduler.backUpNow('demand', { signal, by: backups.demanded(backupOptions) }),
    takeLease: async (leaseOptions) => keeper?.take(leaseOptions),
    start: ({ signal } = {}) => (starting ??= begin(signal)),
    notify: () => scheduler.changed('notify', clock.now()),
    status: () => recorder.status(),
    subscribe: (listener) => recorder.subscribe(listener),
    tell: emit,
    stop: async ({ reason, ...limit }) => {
      stopping.abort(new SyncAgentError('INTERRUPTED', 'Cannot finish: the agent is stopping'));
      const backUpLast = async (signal: AbortSignal): Promise<boolean> => {
        // A start that is under way gives up, which may take longer than there is time.
        await Promise.race([starting?.catch(() => undefined), aborted(signal)]);
        await Promise.all([watcher?.stop(), listening]);
        await scheduler.stop({ signal });
        return saveAll(reason, { signal, deadlineMs: limit.deadlineMs });
      };
      const isSaved = await finalBackup(limit, { clock, backUp: backUpLast, isInSnapshot });
      return { isSaved, unsavedSinceMs: isSaved ? null : scheduler.state().dirtySinceMs };
    },
    close: async () => {
      stopping.abort(new SyncAgentError('INTERRUPTED', 'Cannot finish: the agent is closed'));
      // The lease is held through the final backup. Whoever waits for it need not wait until it expires.
      ending.abort();
      await keeping;
      await keeper?.release(AbortSignal.timeout(releaseMs));
      await readingHistory;
      const lock = await claiming?.catch(() => undefined);
      if (isClaimed) await statusFile.close();
      isClaimed = false;
      lock?.release();
    },
  };

  /** The final backup. Where nothing was written it costs a look at the files' times. */
  async function saveAll(
    reason: BackupReason,
    { signal, deadlineMs }: { readonly signal: AbortSignal; readonly deadlineMs: number },
  ): Promise<boolean> {
    if (starting === undefined) return true;
    try {
      await scheduler.backUpNow(reason, { signal, by: backups.final(deadlineMs) });
      return true;
    } catch (error) {
      // A failure was told by the operation's own event. Where there is no store, there is nothing to save.
      return isSyncAgentError(error, 'NOT_FOUND') && scheduler.state().dirtySinceMs === null;
    }
  }

  /** Whether the store is still what this host's record says an earlier backup has saved. */
  async function isInSnapshot(leftMs: number): Promise<boolean> {
    const look = await operationsFor({ ...unheard, abortGraceMs: 0 })
      .look(leftMs < longestTimerMs ? { signal: AbortSignal.timeout(leftMs) } : {})
      .catch(() => undefined);
    return look?.isUnchanged === true;
  }
}

/** For calls of the daemon's own, which nobody asked for: nothing needs cleaning up when one is aborted. */
const unheard = { emit: () => undefined, onRequests: () => undefined, abortGraceMs: 1000 };
