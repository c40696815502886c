import { defaultSettings } from './agent-settings.ts';
import type { AgentSettings } from './agent-settings.ts';
import type { Agent, CallOptions, ReadFrom } from '../api/agent.ts';
import { readRunningAgent } from '../agent/status-file.ts';
import { backup } from '../engine/backup/backup.ts';
import type { Context } from '../engine/context.ts';
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
import { SyncAgentError, throwIfAborted } from '../platform/errors.ts';
import { listRollbackCopies } from '../home/rollback-copies.ts';
import { recordOperations } from './record-operations.ts';
import { openStoreAccess } from './store-access.ts';
import type { AgentPorts } from './store-access.ts';

export type { AgentPorts } from './store-access.ts';

/** The agent whose calls run in this process. Touches neither disk nor network before the first call. */
export function createAgent(settings: AgentSettings, ports: AgentPorts = {}): Agent {
  const access = openStoreAccess(settings, ports);
  const { read, write, writeWhole } = access;
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

  return {
    backup: (options = {}) =>
      writeWhole(
        'backup',
        async (context) => backup(context, { ...(await rankBeside(context)), ...options }),
        options.signal,
      ),
    restore: (options = {}) =>
      write(
        'restore',
        (context, interrupted) => restore(context, { ...options, interrupted }),
        options.signal,
      ),
    restoreTo: (dir, options = {}) =>
      access.writeElsewhere(dir, (context) => restoreTo(context, options), options.signal),
    sync: (options = {}) =>
      write(
        'sync',
        (context, interrupted) =>
          interrupted === undefined ? sync(context, options) : restore(context, { ...options, interrupted }),
        options.signal,
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
    assertSound: ({ signal } = {}) => write('look at', (context) => assertSoundStore(context), signal),
    localStatus: (options = {}) => read(readLocalStatus, options.signal),
    list: (options = {}) => read(listSnapshots, options.signal),
    show: (snapshot, options = {}) => read((context) => showSnapshot(context, snapshot), options.signal),
    diff: (from, to, options = {}) => read((context) => diffSnapshots(context, from, to), options.signal),
    verify: (options = {}) => read((context) => verify(context, options), options.signal),
    check: (options = {}) => readFrom(options, (context, name) => checkStore(context, name, options)),
    checkServer: (server, options = {}) => read((context) => checkServer(context, server), options.signal),
    inspect: (options = {}) => readFrom(options, inspectStore),
    repair: (options = {}) =>
      writeWhole('repair', (context) => repairStore(context, options), options.signal),
    maintain: (options = {}) =>
      writeWhole('maintain', (context) => maintainStore(context, options), options.signal),
    repairRemote: (options = {}) => read((context) => repairRemote(context, options), options.signal),
    ...recordOperations(access),
    prune: (options = {}) => read((context) => prune(context, options), options.signal),
    pin: (snapshot, options = {}) => read((context) => pin(context, snapshot, options), options.signal),
    unpin: (snapshot, options = {}) => read((context) => unpin(context, snapshot), options.signal),
    clearHistory: (options = {}) => read((context) => clearHistory(context, options), options.signal),
    rollbackCopies: async ({ signal } = {}) => {
      throwIfAborted(signal, 'Listing the rollback copies');
      return listRollbackCopies(await access.home());
    },
    rollBack: (copy, options = {}) =>
      writeWhole('roll back', (context) => rollBack(context, copy, options), options.signal),
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
      return read((context) => acquireLease(context, { ...options, ttlMs }), options.signal);
    },
    renewLease: (lease, options = {}) => read((context) => renewLease(context, lease), options.signal),
    releaseLease: (lease, options = {}) => read((context) => releaseLease(context, lease), options.signal),
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
