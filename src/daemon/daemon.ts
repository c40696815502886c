import type { Clock } from '../clock.ts';
import type { BackupResult } from '../engine/backup.ts';
import { SyncAgentError, isSyncAgentError } from '../errors.ts';
import type { AgentEvent, BackupReason, DaemonEvent, SnapshotFacts } from '../events.ts';
import { epochMsOf } from '../snapshot/layout.ts';
import type { FileSystem } from '../store/file-system.ts';
import type { Home } from '../store/home.ts';
import { lockAgent } from '../store/lock.ts';
import type { Lock } from '../store/lock.ts';
import type { DaemonStatus, RecordedEvent } from './daemon-status.ts';
import type { OperationsFor } from './daemon-operations.ts';
import { fixedTimes } from './fixed-times.ts';
import { createLeaseKeeper } from './lease-keeper.ts';
import { listenForNotifications } from './notifications.ts';
import { performer } from './performer.ts';
import type { Performance } from './performer.ts';
import type { ScheduleSettings } from './schedule.ts';
import { createScheduler } from './scheduler.ts';
import type { TurnOptions, TurnOutcome } from './scheduler.ts';
import { createStatusRecorder } from './status-recorder.ts';
import { statusFileWriter } from './status-file.ts';
import { watchStore } from './watcher.ts';
import type { Watcher } from './watcher.ts';

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

export interface SaveOptions {
  readonly reason: BackupReason;
  /** By then it has resolved and left the remote clean, on the monotonic clock; Infinity while nobody hurries. */
  readonly deadlineMs: number;
  /** Aborts when it must end sooner than `deadlineMs` said. */
  readonly signal?: AbortSignal | undefined;
}

export interface Saved {
  /** All that was written before the call is in a snapshot. */
  readonly isSaved: boolean;
  /** Milliseconds since the epoch; null when saved, or when nobody knows. */
  readonly unsavedSinceMs: number | null;
}

/** The agent that keeps running beside one store. */
export interface Daemon {
  /** Makes this the store's one agent. BUSY, naming the other one. `start` does it, too. */
  claim(): Promise<void>;
  /** An operation that somebody asked for, when no other runs. */
  operate<T>(performance: Performance<T>): Promise<T>;
  /**
   * Takes the lease, where the settings ask for one, after whoever has it, or from them when `waitMs` is over. `start`
   * does it as well, when it is free.
   */
  takeLease(options: { readonly waitMs: number; readonly signal?: AbortSignal | undefined }): Promise<void>;
  /** Begins to watch the store and to back up. */
  start(): Promise<void>;
  notify(): void;
  backUpNow(reason: BackupReason, options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;
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

/** What cleaning up after an interrupted backup may take: of the time that is left, and at most. */
const cleanUpShare = 0.15;
const mostCleanUpMs = 3000;
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
    if (event.type !== 'progress' && event.type !== 'phase') statusFile.changed();
  };
  const perform = performer(operationsFor, { clock, emit });
  const keeper =
    settings.leaseMs === null
      ? undefined
      : createLeaseKeeper({
          ttlMs: settings.leaseMs,
          perform,
          clock,
          onChange: (lease) => {
            recorder.recordLease(lease);
            statusFile.changed();
          },
        });

  const backUp = async (reason: BackupReason, { signal, retryAtMs }: TurnOptions): Promise<TurnOutcome> => {
    const isByInterval = reason === 'change' || reason === 'retry';
    const { result, history } = await perform({
      operation: 'backup',
      reason,
      work: (operations) =>
        operations.backupTurn({
          local: { minIntervalMs: isByInterval ? settings.intervalMs : 0 },
          ...withEpoch(keeper?.epoch()),
          signal,
        }),
      describe: (turn) => ({ outcome: turn.result.type, snapshot: factsOf(turn.result) }),
      retryAtMs,
    });
    if (history !== undefined) recorder.recordHistory(history);
    if (result.type === 'planned') return { type: 'saved', snapshotAtMs: null };
    const snapshotAtMs = epochMsOf(result.id);
    recorder.recordSnapshot(result.id);
    return result.type === 'too-soon' ? { type: 'too-soon', snapshotAtMs } : { type: 'saved', snapshotAtMs };
  };
  const scheduler = createScheduler({
    settings: schedule,
    clock,
    emit,
    backUp,
    onState: (state, next) => {
      recorder.recordSchedule(state, next);
      statusFile.changed();
    },
  });

  const stopping = new AbortController();
  const ending = new AbortController();
  let lock: Lock | undefined;
  let watcher: Watcher | undefined;
  let listening: Promise<void> | undefined;
  let keeping: Promise<void> | undefined;

  const claim = async (): Promise<void> => {
    lock ??= await lockAgent(fs, home, { command: options.command });
  };
  /** Asks this host's record where the store stands. */
  const lookAround = async (): Promise<{ dirtySinceMs: number | null; lastSnapshotAtMs: number | null }> => {
    const look = await operationsFor({ emit, onRequests: () => undefined }).look({ signal: stopping.signal });
    if (look.parent !== undefined) recorder.recordSnapshot(look.parent);
    return {
      dirtySinceMs: look.isUnchanged || !look.exists ? null : (look.writtenAtMs ?? clock.now()),
      lastSnapshotAtMs: look.parent === undefined ? null : epochMsOf(look.parent),
    };
  };
  /** For the status alone; what fails here will fail a backup, which says so. */
  const readHistory = async (): Promise<void> => {
    const operations = operationsFor({ emit: () => undefined, onRequests: () => undefined });
    const snapshots = await operations.list({ signal: stopping.signal }).catch(() => undefined);
    if (snapshots !== undefined) recorder.recordHistory(snapshots);
  };

  return {
    claim,
    operate: (performance) =>
      scheduler.exclusively(async () => {
        const result = await perform(performance);
        if (performance.operation !== 'backup') await watcher?.again();
        return result;
      }),
    takeLease: async (leaseOptions) => keeper?.take(leaseOptions),
    start: async () => {
      await claim();
      // First the watch, then the look: a change in between is seen by both rather than by none.
      watcher = await watchStore({
        store: home.store,
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
      listening = listenForNotifications(home, {
        clock,
        signal: stopping.signal,
        onNotice: () => scheduler.changed('notify', clock.now()),
      });
      keeping = keeper?.keep(ending.signal);
      const from = await lookAround();
      emit({ type: 'started', intervalMs: settings.intervalMs, cron: settings.cron });
      scheduler.start(from);
      void readHistory();
    },
    notify: () => scheduler.changed('notify', clock.now()),
    backUpNow: (reason, callOptions) => scheduler.backUpNow(reason, callOptions),
    status: () => recorder.status(),
    subscribe: (listener) => recorder.subscribe(listener),
    tell: emit,
    stop: async ({ reason, deadlineMs, signal: sooner }) => {
      stopping.abort(new SyncAgentError('INTERRUPTED', 'Cannot finish: the agent is stopping'));
      const outOfTime = new AbortController();
      const leftMs = Math.max(0, deadlineMs - clock.monotonic());
      const end = (why: string): void => outOfTime.abort(new SyncAgentError('INTERRUPTED', why));
      const onSooner = (): void => end('there is no more time');
      sooner?.addEventListener('abort', onSooner, { once: true });
      if (sooner?.aborted === true) onSooner();
      const timer = Number.isFinite(leftMs)
        ? setTimeout(
            () => end(`the ${Math.round(leftMs)} ms there were are over`),
            leftMs - Math.min(leftMs * cleanUpShare, mostCleanUpMs),
          )
        : undefined;
      const { signal } = outOfTime;
      try {
        await Promise.all([watcher?.stop(), listening]);
        await scheduler.stop({ signal });
        const isSaved = await saveAll(reason, signal);
        return { isSaved, unsavedSinceMs: isSaved ? null : scheduler.state().dirtySinceMs };
      } finally {
        clearTimeout(timer);
        sooner?.removeEventListener('abort', onSooner);
      }
    },
    close: async () => {
      // Held through the final backup. Whoever waits for it need not wait until it expires.
      ending.abort();
      await keeping;
      await keeper?.release(AbortSignal.timeout(releaseMs));
      await statusFile.close();
      lock?.release();
      lock = undefined;
    },
  };

  /** The final backup. Where nothing was written it costs a look at the files' times. */
  async function saveAll(reason: BackupReason, signal: AbortSignal): Promise<boolean> {
    if (watcher === undefined) return true;
    try {
      await scheduler.backUpNow(reason, { signal });
      return true;
    } catch (error) {
      // A failure was told by the operation's own event. Where there is no store, there is nothing to save.
      return isSyncAgentError(error, 'NOT_FOUND') && scheduler.state().dirtySinceMs === null;
    }
  }
}

function withEpoch(epoch: number | undefined): { readonly epoch?: number } {
  return epoch === undefined ? {} : { epoch };
}

/** What a backup made, for events. */
export function factsOf(result: { readonly type: string }): SnapshotFacts | undefined {
  if (!isCommitted(result)) return undefined;
  const { id, bytes, records, uploadBytes, heldMs, longestHoldMs } = result;
  return { id, bytes, records, uploadBytes, heldMs, longestHoldMs };
}

function isCommitted(result: {
  readonly type: string;
}): result is Extract<BackupResult, { type: 'committed' }> {
  return result.type === 'committed';
}
