import type { BackupReason } from '../platform/events.ts';
import { whenAborted, eitherSignal } from '../platform/abort-signals.ts';
import { SyncAgentError, isSyncAgentError, messageOf, throwIfAborted } from '../platform/errors.ts';
import { epochMsOf } from '../log/layout.ts';
import { flushLog } from '../engine/continuous/flush.ts';
import { createBackups } from './backups.ts';
import { createClaim } from './claim.ts';
import { keepCopying } from './copier.ts';
import { follow } from './continuous/following.ts';
import { unsavedSince } from './continuous/log-status.ts';
import type { Following } from './continuous/following.ts';
import type { Daemon, DaemonOptions } from './daemon.ts';
import { finalBackup } from './final-backup.ts';
import { createLeaseKeeper } from './lease-keeper.ts';
import type { HeldLease } from './lease-keeper.ts';
import { listenForNotifications } from './notifications.ts';
import { questions } from './questions.ts';
import { operationRunner } from './run-operation.ts';
import { fixedTimes } from './schedule/fixed-times.ts';
import { createScheduler } from './schedule/scheduler.ts';
import type { StartPoint } from './schedule/scheduler.ts';
import { statusFileWriter } from './status-file.ts';
import { keepChecking } from './soundness/checker.ts';
import { keepDrilling } from './soundness/driller.ts';
import { createStatusRecorder } from './status-recorder.ts';
import { watchStore } from './watch/watcher.ts';
import type { Watcher } from './watch/watcher.ts';

const releaseMs = 3000;
/** Events that come too often for the status file, or that others follow at once. */
const isFleeting: ReadonlySet<string> = new Set(['progress', 'phase', 'log-pending']);

/**
 * Puts the parts of a running agent together:
 *
 *     watcher, notifications ──▶ scheduler (schedule.ts decides) ──▶ backups ──▶ run-operation ──▶ an operation process
 *     and every event of these ──▶ status-recorder ──▶ status file, status page, log
 */
export function createDaemon(options: DaemonOptions): Daemon {
  const { settings, home, clock, fs, operationsFor } = options;
  const { intervalMs, settleMs, cron } = settings;
  const stopping = new AbortController();
  /** Aborts after the final backup, which is made under the lease. */
  const ending = new AbortController();

  const emit: DaemonOptions['emit'] = (event) => {
    recorder.record(event);
    options.emit(event);
    if (!isFleeting.has(event.type)) claim.statusChanged();
  };
  const warnOfLook = (why: string): void =>
    emit({
      type: 'warning',
      code: 'NOTICE',
      message: `Cannot look at the store "${home.store}": ${why}`,
    });
  const { version, host, remote } = options;
  const recorder = createStatusRecorder(
    { version, pid: process.pid, host, store: home.store, remote, intervalMs, cron },
    { clock, continuousMs: settings.continuousMs },
  );
  const claim = createClaim({
    fs,
    home,
    command: options.command,
    statusFile: statusFileWriter(fs, home, { clock, status: () => recorder.status() }),
  });
  const run = operationRunner({
    operationsFor,
    clock,
    emit,
    onSnapshot: (id) => recorder.recordSnapshot(id),
  });
  const ask = questions(operationsFor, { emit });
  const { leaseMs: ttlMs } = settings;
  const onLease = (lease: HeldLease | null): void => {
    recorder.recordLease(lease);
    claim.statusChanged();
  };
  const keeper = ttlMs === null ? undefined : createLeaseKeeper({ ttlMs, run, clock, onChange: onLease });
  const backups = createBackups({
    run,
    onHistory: (snapshots) => recorder.recordHistory(snapshots),
    clock,
    stopping: stopping.signal,
    intervalMs,
    epoch: () => keeper?.epoch(),
    logThere: async () => following?.there(),
    isLogDue: () => scheduler.state().logDueSinceMs !== null,
  });
  const scheduler = createScheduler({
    settings: {
      intervalMs,
      settleMs: Math.min(settleMs, intervalMs === 0 ? Infinity : intervalMs / 2),
      nextFixedTime: cron === null ? undefined : fixedTimes(cron),
    },
    clock,
    emit,
    backUp: backups.scheduled,
    onState: (state, next) => {
      recorder.recordSchedule(state, next);
      claim.statusChanged();
    },
  });

  let starting: Promise<void> | undefined;
  let watcher: Watcher | undefined;
  let listening: Promise<void> | undefined;
  let readingHistory: Promise<void> | undefined;
  let keeping: Promise<void> | undefined;
  let checking: Promise<void> | undefined;
  let drilling: Promise<void> | undefined;
  let copying: Promise<void> | undefined;
  let following: Following | undefined;

  const watch = (): Promise<Watcher> =>
    watchStore({
      store: home.store,
      exclude: home.exclude,
      // The log tells of every write at once. To see the files change would cost more than to save the writes.
      detect: settings.continuousMs !== null && settings.detect === 'auto' ? 'poll' : settings.detect,
      pollIntervalMs: settings.pollIntervalMs,
      clock,
      emit,
      onChange: (source, atMs) => scheduler.changed(source, atMs),
      onTrouble: (message) => {
        warnOfLook(message);
        scheduler.changed('polling', clock.now());
      },
    });
  const findStartPoint = async (signal: AbortSignal): Promise<StartPoint> => {
    const mustKeepLog = settings.continuousMs !== null;
    const { exists, parent, isUnchanged, writtenAtMs } = await ask.localStatus(signal, { mustKeepLog });
    if (parent !== undefined) recorder.recordSnapshot(parent);
    return {
      dirtySinceMs: isUnchanged || !exists ? null : (writtenAtMs ?? clock.now()),
      lastSnapshotAtMs: parent === undefined ? null : epochMsOf(parent),
    };
  };
  const readHistory = async (): Promise<void> => {
    const snapshots = await ask.history(stopping.signal);
    if (snapshots !== undefined) recorder.recordHistory(snapshots);
  };
  const followLog = (continuousMs: number): Following =>
    follow({
      home,
      intervalMs: continuousMs,
      operationsFor,
      clock,
      emit,
      onSnapshotDue: (isDue) => scheduler.logDue(isDue),
      // What another host, asleep until now, adds to the log from here on shall not count.
      epoch: async (signal) => keeper?.epochOnceTried(signal),
      snapshotBytes: () => recorder.status().history?.snapshots.at(-1)?.bytes,
    });
  const begin = async (asked: AbortSignal | undefined): Promise<void> => {
    const { signal, release } = eitherSignal(stopping.signal, asked);
    const goOn = (): void => throwIfAborted(signal, `Starting to watch "${home.store}"`);
    try {
      goOn();
      await claim.take();
      goOn();
      // The watch begins before the start point is read: both see a change in between, rather than none.
      watcher = await watch();
      goOn();
      listening = listenForNotifications(home, {
        clock,
        signal: stopping.signal,
        onNotice: () => scheduler.changed('notify', clock.now()),
      });
      keeping = keeper?.keep(ending.signal);
      const from = await findStartPoint(signal);
      goOn();
      emit({ type: 'started', intervalMs, cron });
      const { continuousMs } = settings;
      if (continuousMs !== null) following = followLog(continuousMs);
      scheduler.start(from);
      readingHistory = readHistory();
      const { checkIntervalMs, checkServer: server } = settings;
      const exclusively = scheduler.exclusively.bind(scheduler);
      if (checkIntervalMs > 0) {
        const check = { intervalMs: checkIntervalMs, server, home, clock, run, exclusively, emit };
        checking = keepChecking(check, stopping.signal);
      }
      const { drillIntervalMs, drillServer } = settings;
      if (drillIntervalMs > 0) {
        const drills = {
          intervalMs: drillIntervalMs,
          server: drillServer,
          home,
          remote,
          clock,
          run,
          exclusively,
          emit,
        };
        drilling = keepDrilling(drills, stopping.signal);
      }
      const { copyTo: target, copyIntervalMs } = settings;
      if (target !== undefined) {
        const onSnapshot = (listener: () => void): (() => void) =>
          recorder.subscribe(({ event }) => {
            if (event.type === 'operation-finished' && event.outcome === 'committed') listener();
          });
        const copies = { target, intervalMs: copyIntervalMs, clock, run, emit, onSnapshot };
        copying = keepCopying(copies, stopping.signal);
      }
    } catch (error) {
      stopping.abort(error);
      await Promise.all([watcher?.stop(), listening]);
      throw error;
    } finally {
      release();
    }
  };

  /** The final backup. If nothing was written it costs a look at the files' times. */
  const saveAll = async (reason: BackupReason, deadlineMs: number, signal: AbortSignal): Promise<boolean> => {
    // A start that is under way gives up, which may take longer than there is time.
    await Promise.race([starting?.catch(() => undefined), whenAborted(signal)]);
    await Promise.all([watcher?.stop(), listening, checking]);
    await scheduler.stop({ signal });
    if (starting === undefined) return true;
    // All writes behind the newest snapshot are as good as a snapshot, and there in a moment.
    const isInLog = (await following?.stop(deadlineMs)) ?? false;
    following = undefined;
    if (isInLog) return true;
    try {
      await scheduler.backUpNow(reason, { signal, by: backups.final(deadlineMs) });
      return true;
    } catch (error) {
      // The operation's own event has told the failure. Without a store there is nothing to save.
      return isSyncAgentError(error, 'NOT_FOUND') && scheduler.state().dirtySinceMs === null;
    }
  };

  const backup: Daemon['backup'] = ({ signal, ...backupOptions } = {}) =>
    scheduler.backUpNow('demand', { signal, by: backups.demanded(backupOptions) });

  return {
    claim: () => claim.take(),
    operate: ({ operation, reason, work }, { signal: asked } = {}) =>
      scheduler.exclusively(async (signal) => {
        const result = await run({ operation, reason, work: (operations) => work(operations, signal) });
        // The operation has succeeded, even if the store cannot be watched any more.
        await watcher?.again().catch((error: unknown) => warnOfLook(messageOf(error)));
        return result;
      }, asked),
    backup,
    flush: async (flushOptions = {}) => {
      const flushed = await flushLog({ home, fs, clock, signal: flushOptions.signal }, flushOptions);
      const isDone = flushed.type === 'flushed' || flushOptions.isLogOnly === true;
      return isDone ? flushed : backup({ signal: flushOptions.signal });
    },
    takeLease: async (leaseOptions) => keeper?.take(leaseOptions),
    start: ({ signal } = {}) => (starting ??= begin(signal)),
    notify: () => scheduler.changed('notify', clock.now()),
    status: () => recorder.status(),
    subscribe: (listener) => recorder.subscribe(listener),
    tell: emit,
    stop: async ({ reason, ...limit }) => {
      stopping.abort(new SyncAgentError('INTERRUPTED', 'Cannot finish: the agent is stopping'));
      const isSaved = await finalBackup(limit, {
        clock,
        backUp: (signal) => saveAll(reason, limit.deadlineMs, signal),
        isInSnapshot: (leftMs) => ask.isInSnapshot(leftMs),
      });
      const { dirtySinceMs } = scheduler.state();
      return { isSaved, unsavedSinceMs: isSaved ? null : (unsavedSince(recorder.status()) ?? dirtySinceMs) };
    },
    close: async () => {
      stopping.abort(new SyncAgentError('INTERRUPTED', 'Cannot finish: the agent is closed'));
      // A host that waits for the lease need not wait until it expires.
      ending.abort();
      await following?.stop(clock.monotonic());
      await Promise.all([keeping, drilling, copying]);
      await keeper?.release(AbortSignal.timeout(releaseMs));
      await readingHistory;
      await claim.release();
    },
  };
}
