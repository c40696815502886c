import { defaultSettings, engineSettings } from './agent-settings.ts';
import type { AgentSettings } from './agent-settings.ts';
import type { Agent } from '../api/agent.ts';
import { systemClock } from '../platform/clock.ts';
import type { Clock } from '../platform/clock.ts';
import { readRunningAgent } from '../agent/status-file.ts';
import { backup } from '../engine/backup/backup.ts';
import type { Context } from '../engine/context.ts';
import { doctor } from '../engine/doctor/doctor.ts';
import { assertSoundStore } from '../engine/soundness/go-on.ts';
import { explainFailure } from '../engine/explain-failure.ts';
import { diffSnapshots, listSnapshots, showSnapshot } from '../engine/history/history.ts';
import { pin, unpin } from '../engine/history/pin.ts';
import { acquireLease, releaseLease, renewLease } from '../engine/lease/lease.ts';
import { clearHistory, prune } from '../engine/history/prune.ts';
import { readLocalStatus } from '../engine/local-status.ts';
import { repairRemote } from '../engine/repair/repair-remote.ts';
import { restoreTo } from '../engine/restore/restore-to.ts';
import { restore } from '../engine/restore/restore.ts';
import { rollBack } from '../engine/restore/rollback.ts';
import { status } from '../engine/status.ts';
import { foreseeSync, sync } from '../engine/sync.ts';
import type { ForeseenSync } from '../engine/sync.ts';
import { verify } from '../engine/history/verify.ts';
import { waitForLease } from '../engine/lease/wait-for-lease.ts';
import { formats as registeredFormats } from '../formats/registry.ts';
import type { Formats } from '../formats/registry.ts';
import { SyncAgentError, throwIfAborted } from '../platform/errors.ts';
import { noRequests } from '../platform/events.ts';
import type { Emit } from '../platform/events.ts';
import { counting } from '../remotes/wrappers/counting-remote.ts';
import type { CountingRemote } from '../remotes/wrappers/counting-remote.ts';
import type { Remote } from '../remotes/remote.ts';
import { openRemote } from '../remotes/open-remote.ts';
import type { OpenedRemote } from '../remotes/open-remote.ts';
import { adapterNamed, detectAdapter } from '../stores/find-adapter.ts';
import { ownedFileSystem } from '../home/owner.ts';
import { diskSpace as realDiskSpace } from '../platform/disk-space.ts';
import { nodeFileSystem } from '../platform/file-system.ts';
import type { FileSystem } from '../platform/file-system.ts';
import { findStoreUsers as findRealStoreUsers } from '../stores/in-use.ts';
import { assertApart, assertOutside, locateHome as locateRealHome } from '../home/home.ts';
import type { Home } from '../home/home.ts';
import { lockStore } from '../home/lock.ts';
import { listRollbackCopies } from '../home/rollback-copies.ts';
import { recover } from '../home/swap.ts';

/** What an agent works with, replaceable in tests. */
export interface AgentPorts {
  readonly clock?: Clock;
  readonly fs?: FileSystem;
  readonly emit?: Emit;
  /** Instead of the one that `settings.remote` names. */
  readonly remote?: Remote;
  readonly formats?: Formats;
  readonly diskSpace?: Context['diskSpace'];
  readonly findStoreUsers?: Context['findStoreUsers'];
  readonly locateHome?: (store: string) => Promise<Home>;
}

/** The composition root: puts real parts together. Touches neither disk nor network before the first call. */
export function createAgent(settings: AgentSettings, ports: AgentPorts = {}): Agent {
  const {
    clock = systemClock,
    fs: disk = nodeFileSystem,
    emit = () => undefined,
    diskSpace = realDiskSpace,
    findStoreUsers = (store) => findRealStoreUsers(store, settings.exclude),
    locateHome: locate = locateRealHome,
    formats = registeredFormats,
  } = ports;
  const engine = engineSettings(settings);
  const { exclude } = settings;
  const locateHome = async (store: string): Promise<Home> => ({ ...(await locate(store)), exclude });
  const { lockWaitMs = defaultSettings.lockWaitMs } = settings;
  let opened: Promise<OpenedRemote> | undefined;
  let counted: CountingRemote | undefined;

  const ownedBy = (home: Home): Promise<FileSystem> =>
    ownedFileSystem(disk, home, {
      owner: settings.owner,
      onWarning: (message) => emit({ type: 'warning', code: 'NOTICE', message }),
    });
  const openContext = async (home: Home, signal: AbortSignal | undefined, fs = disk): Promise<Context> => {
    opened ??=
      ports.remote === undefined
        ? openRemote(settings.remote, { ...settings, clock, emit, fs: disk })
        : Promise.resolve({ remote: ports.remote, prefixBytes: 0, remoteId: ports.remote.location });
    const { remote: bare, prefixBytes, remoteId, directory } = await opened;
    if (directory !== undefined) await assertApart(home, directory);
    const remote = (counted ??= counting(bare));
    const { adapter = 'auto' } = settings;
    return {
      remote,
      remoteId,
      formats,
      home,
      fs,
      clock,
      emit,
      settings: { ...engine, prefixBytes },
      detectAdapter:
        adapter === 'auto'
          ? (dir) => detectAdapter(dir, home.exclude)
          : async () => adapterNamed(adapter, home.exclude),
      adapterNamed: (name) => adapterNamed(name, home.exclude),
      diskSpace,
      findStoreUsers,
      signal,
    };
  };
  const explained = async <T>(command: string, home: Home, work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      const action = command === 'backup' ? 'back up' : command;
      throw await explainFailure(error, `Cannot ${action} "${home.store}"`, { home, diskSpace });
    }
  };
  const read = async <T>(
    work: (context: Context) => Promise<T>,
    signal: AbortSignal | undefined,
  ): Promise<T> => {
    const home = await locateHome(settings.store);
    return explained('look at', home, async () => work(await openContext(home, signal)));
  };

  const write = async <T>(
    command: string,
    work: (context: Context, interrupted: Awaited<ReturnType<typeof recover>>) => Promise<T>,
    signal: AbortSignal | undefined,
  ): Promise<T> => {
    const home = await locateHome(settings.store);
    return explained(command, home, async () => {
      const fs = await ownedBy(home);
      const lock = await lockStore(fs, home, {
        command,
        waitMs: lockWaitMs,
        onWait: (why) => emit({ type: 'warning', code: 'NOTICE', message: `${why}: waiting for it` }),
        clock,
        signal,
      });
      try {
        const interrupted = await recover(fs, home, { rollbackCopies: engine.rollbackCopies });
        return await work(await openContext(home, signal, fs), interrupted);
      } finally {
        lock.release();
      }
    });
  };
  /** For operations that need the store to be whole. */
  const writeWhole = <T>(
    command: string,
    work: (context: Context) => Promise<T>,
    signal: AbortSignal | undefined,
  ) =>
    write(
      command,
      (context, interrupted) => {
        if (interrupted === undefined) return work(context);
        throw new SyncAgentError(
          'STORE_CORRUPT',
          `Cannot ${command} "${context.home.store}": a restore was interrupted in it`,
          {
            remedy: 'Run "sync-agent restore" to finish it',
          },
        );
      },
      signal,
    );

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
    restoreTo: async (dir, options = {}) => {
      // What is new belongs to nobody yet: it gets all that the snapshot holds.
      const home = await locate(dir);
      // A store that is not what it should be is no reason against a look at a snapshot.
      const own = await locateHome(settings.store).catch(() => undefined);
      if (own !== undefined) assertOutside(own, home.store);
      return explained('restore to', home, async () =>
        restoreTo(await openContext(home, options.signal, await ownedBy(home)), options),
      );
    },
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
    repairRemote: (options = {}) => read((context) => repairRemote(context, options), options.signal),
    prune: (options = {}) => read((context) => prune(context, options), options.signal),
    pin: (snapshot, options = {}) => read((context) => pin(context, snapshot, options), options.signal),
    unpin: (snapshot, options = {}) => read((context) => unpin(context, snapshot), options.signal),
    clearHistory: (options = {}) => read((context) => clearHistory(context, options), options.signal),
    rollbackCopies: async ({ signal } = {}) => {
      throwIfAborted(signal, 'Listing the rollback copies');
      return listRollbackCopies(await locateHome(settings.store));
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
      const { put, get, head, list, copy, remove } = counted?.counts() ?? noRequests;
      // Keys are removed by the thousand.
      return put + get + head + list + copy + Math.ceil(remove / 1000);
    },
    counts: () => counted?.counts() ?? noRequests,
    close: async () => {
      await (await opened)?.remote.close();
    },
  };
}

/** A backup by hand ranks as those of the agent that has this host's lease, also when that is lost. */
async function rankBeside({ home, clock }: Context): Promise<{ readonly epoch?: number }> {
  const lease = (await readRunningAgent(home, clock))?.lease;
  return lease == null ? {} : { epoch: lease.epoch };
}
