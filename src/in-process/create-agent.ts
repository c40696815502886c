import { defaultSettings } from './agent-settings.ts';
import type { AgentSettings } from './agent-settings.ts';
import type { Agent, CallOptions, ReadFrom } from '../api/agent.ts';
import { readRunningAgent } from '../agent/status-file.ts';
import { backup } from '../engine/backup/backup.ts';
import type { Context } from '../engine/context.ts';
import { flushLog } from '../engine/continuous/flush.ts';
import { doctor } from '../engine/doctor/doctor.ts';
import { assertSoundStore } from '../engine/soundness/go-on.ts';
import { checkServer, checkStore } from '../engine/reading/check-store.ts';
import { inspectStore } from '../engine/reading/inspect-store.ts';
import type { SourceName } from '../engine/reading/store-source.ts';
import { diffSnapshots, listSnapshots, showSnapshot } from '../engine/history/history.ts';
import { pin, unpin } from '../engine/history/pin.ts';
import { acquireLease, releaseLease, renewLease } from '../engine/lease/lease.ts';
import { clearHistory, prune } from '../engine/history/prune.ts';
import { readLocalStatus } from '../engine/local-status.ts';
import { repairRemote } from '../engine/repair/repair-remote.ts';
import { maintainStore } from '../engine/mending/maintain-store.ts';
import { repairStore } from '../engine/mending/repair-store.ts';
import { restoreTo } from '../engine/restore/restore-to.ts';
import { restore } from '../engine/restore/restore.ts';
import { rollBack } from '../engine/restore/rollback.ts';
import { status } from '../engine/status.ts';
import { foreseeSync, sync } from '../engine/sync.ts';
import type { ForeseenSync } from '../engine/sync.ts';
import { verify } from '../engine/history/verify.ts';
import { waitForLease } from '../engine/lease/wait-for-lease.ts';
import { systemClock } from '../platform/clock.ts';
import { SyncAgentError, isSyncAgentError, throwIfAborted } from '../platform/errors.ts';
import { readOperationLog } from '../home/operations/records.ts';
import { listRollbackCopies } from '../home/rollback-copies.ts';
import { archiveOperations } from './archive-operations.ts';
import { copyOperations } from './copy-operations.ts';
import { recordOperations } from './record-operations.ts';
import { loggedAccess } from './logged-access.ts';
import { openStoreAccess } from './store-access.ts';
import type { AgentPorts } from './store-access.ts';

export type { AgentPorts } from './store-access.ts';

/** The agent whose calls run in this process. Touches neither disk nor network before the first call. */
export function createAgent(settings: AgentSettings, ports: AgentPorts = {}): Agent {
  const access = openStoreAccess(settings, ports);
  const { read, write } = access;
  const { clock = systemClock, emit = () => undefined, program } = ports;
  const log = loggedAccess(access, { clock, emit, host: settings.host, program });
  const readFrom = async <T>(
    { dir, snapshot, signal }: ReadFrom & CallOptions,
    work: (context: Context, name: SourceName) => Promise<T>,
  ): Promise<T> => {
    if (dir !== undefined && snapshot !== undefined)
      throw new SyncAgentError('USAGE', `Cannot read "${dir}" and the snapshot "${snapshot}" at once`);
    const name: SourceName = snapshot === undefined ? { type: 'store' } : { type: 'snapshot', snapshot };
    return dir === undefined
      ? read((context) => work(context, name), signal)
      : access.readElsewhere(dir, (context) => work(context, name), signal);
  };

  const backUp: Agent['backup'] = (options = {}) =>
    log.writeWhole('backup', options, async (context) =>
      backup(context, { ...(await rankBeside(context)), ...options }),
    );
  const pinSnapshot: Agent['pin'] = (snapshot, options = {}) =>
    log.read('pin', options, (context) => pin(context, snapshot, options));

  return {
    backup: backUp,
    followLog: ({ intervalMs, epoch, signal }) =>
      read(async (context) => {
        const { followLog } = await import('../engine/continuous/follow-log.ts');
        return followLog(context, {
          intervalMs,
          // An agent that has just begun has not written its status yet.
          epoch: async () => (await rankBeside(context)).epoch ?? epoch,
          counts: () => access.counts(),
        });
      }, signal),
    flush: async (options = {}) => {
      const flushed = await read((context) => flushLog(context, options), options.signal);
      if (flushed.type === 'flushed' || options.isLogOnly === true) return flushed;
      return log.writeWhole('backup', options, async (context) =>
        backup(context, { ...(await rankBeside(context)), local: { minIntervalMs: 0 } }),
      );
    },
    restore: (options = {}) =>
      log.write('restore', options, (context, interrupted) => restore(context, { ...options, interrupted })),
    restoreTo: (dir, options = {}) =>
      access.writeElsewhere(dir, (context) => restoreTo(context, options), options.signal),
    sync: (options = {}) =>
      log.write('sync', options, (context, interrupted) =>
        interrupted === undefined ? sync(context, options) : restore(context, { ...options, interrupted }),
      ),
    foreseeSync: (options = {}) =>
      write<ForeseenSync>(
        'sync',
        async (context, interrupted) =>
          interrupted === undefined
            ? foreseeSync(context, options)
            : { operation: 'restore', reading: undefined },
        options.signal,
      ),
    assertSound: async ({ signal } = {}) => {
      try {
        await write('look at', (context) => assertSoundStore(context), signal);
      } catch (error) {
        if (isSyncAgentError(error, 'STORE_CORRUPT')) await log.nameSuspects();
        throw error;
      }
    },
    localStatus: (options = {}) =>
      read(async (context) => {
        if (options.mustKeepLog === true) {
          const { assertKeepsLog } = await import('../engine/continuous/assert-keeps-log.ts');
          await assertKeepsLog(context);
        }
        return readLocalStatus(context);
      }, options.signal),
    list: (options = {}) => read(listSnapshots, options.signal),
    show: (snapshot, options = {}) => read((context) => showSnapshot(context, snapshot), options.signal),
    diff: (from, to, options = {}) => read((context) => diffSnapshots(context, from, to), options.signal),
    verify: (options = {}) => access.keep('look at', (context) => verify(context, options), options.signal),
    drill: async (options = {}) => {
      const { drill } = await import('../engine/drill/drill.ts');
      const isRehearsal = options.damage !== undefined;
      return log.call('drill', { ...options, dryRun: isRehearsal }, () =>
        access.keep('drill', (context) => drill(context, options), options.signal),
      );
    },
    check: async (options = {}) => {
      const report = await readFrom(options, (context, name) => checkStore(context, name, options));
      const isOwn = options.dir === undefined && options.snapshot === undefined;
      if (isOwn && report.damage.length > 0) await log.nameSuspects();
      return report;
    },
    checkServer: (server, options = {}) => read((context) => checkServer(context, server), options.signal),
    inspect: (options = {}) => readFrom(options, inspectStore),
    repair: (options = {}) => log.writeWhole('repair', options, (context) => repairStore(context, options)),
    maintain: (options = {}) =>
      log.writeWhole('maintain', options, (context) => maintainStore(context, options)),
    placeBuild: async (build, options = {}) => {
      const { placeBuild } = await import('../engine/rebuild/place-build.ts');
      return access.writeWhole('rebuild', (context) => placeBuild(context, build, options), options.signal);
    },
    repairRemote: (options = {}) =>
      log.read('repair-remote', options, (context) => repairRemote(context, options)),
    ...recordOperations(access, log, { ...ports, backup: backUp, pin: pinSnapshot }),
    ...archiveOperations(access, log),
    ...copyOperations(settings, ports, log),
    prune: (options = {}) => log.read('prune', options, (context) => prune(context, options)),
    pin: pinSnapshot,
    unpin: (snapshot, options = {}) => log.read('unpin', options, (context) => unpin(context, snapshot)),
    clearHistory: (options = {}) =>
      log.read('clear-history', options, (context) => clearHistory(context, options)),
    rollbackCopies: async ({ signal } = {}) => {
      throwIfAborted(signal, 'Listing the rollback copies');
      return listRollbackCopies(await access.home());
    },
    rollBack: (copy, options = {}) =>
      log.writeWhole('rollback', options, (context) => rollBack(context, copy, options)),
    operationLog: async ({ signal, ...options } = {}) => {
      throwIfAborted(signal, 'Reading the operation log');
      return readOperationLog(await access.home(), options);
    },
    status: (options = {}) =>
      read(
        async (context) => ({
          ...(await status(context)),
          agent: await readRunningAgent(context.home, context.clock),
        }),
        options.signal,
      ),
    acquireLease: (options = {}) => {
      const { ttlMs = settings.leaseMs ?? defaultSettings.leaseMs } = options;
      return log.read('acquire-lease', options, (context) => acquireLease(context, { ...options, ttlMs }));
    },
    renewLease: (lease, options = {}) =>
      log.read('renew-lease', options, (context) => renewLease(context, lease)),
    releaseLease: (lease, options = {}) =>
      log.read('release-lease', options, (context) => releaseLease(context, lease)),
    waitForLease: (options) => read((context) => waitForLease(context, options), options.signal),
    doctor: (options = {}) => read(doctor, options.signal),
    requests: () => {
      const { put, get, head, list, copy, remove } = access.counts();
      // Keys are removed by the thousand.
      return put + get + head + list + copy + Math.ceil(remove / 1000);
    },
    counts: () => access.counts(),
    close: () => access.close(),
  };
}

/** A backup by hand ranks as those of the agent that has this host's lease, also when that is lost. */
async function rankBeside({ home, clock }: Context): Promise<{ readonly epoch?: number }> {
  const lease = (await readRunningAgent(home, clock))?.lease;
  return lease == null ? {} : { epoch: lease.epoch };
}
