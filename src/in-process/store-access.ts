import type { Readable } from 'node:stream';
import { explainFailure } from '../engine/explain-failure.ts';
import type { Context } from '../engine/context.ts';
import { PhaseTimes } from '../platform/phase-times.ts';
import { formats as registeredFormats } from '../formats/registry.ts';
import type { Formats } from '../formats/registry.ts';
import { assertApart, assertOutside, locateHome as locateRealHome } from '../home/home.ts';
import type { Home } from '../home/home.ts';
import type { ReplaceJournal } from '../home/journal.ts';
import { lockStore } from '../home/lock.ts';
import { ownedFileSystem } from '../home/owner.ts';
import { recover } from '../home/swap.ts';
import { systemClock } from '../platform/clock.ts';
import type { Clock } from '../platform/clock.ts';
import { diskSpace as realDiskSpace } from '../platform/disk-space.ts';
import { SyncAgentError } from '../platform/errors.ts';
import { noRequests } from '../platform/events.ts';
import type { Emit, RequestCounts } from '../platform/events.ts';
import { nodeFileSystem } from '../platform/file-system.ts';
import type { FileSystem } from '../platform/file-system.ts';
import { openRemote } from '../remotes/open-remote.ts';
import type { OpenedRemote } from '../remotes/open-remote.ts';
import type { Remote } from '../remotes/remote.ts';
import { lazy } from '../remotes/wrappers/lazy-remote.ts';
import { counting } from '../remotes/wrappers/counting-remote.ts';
import type { CountingRemote } from '../remotes/wrappers/counting-remote.ts';
import { adapterNamed, detectAdapter } from '../stores/find-adapter.ts';
import { findStoreUsers as findRealStoreUsers } from '../stores/capture/in-use.ts';
import { defaultSettings, engineSettings } from './agent-settings.ts';
import type { AgentSettings } from './agent-settings.ts';

/** What an agent works with, replaceable in tests. */
export interface AgentPorts {
  readonly clock?: Clock;
  readonly fs?: FileSystem;
  readonly emit?: Emit;
  /** Instead of the one that `settings.remote` names. */
  readonly remote?: Remote;
  /** Instead of the target that a copy names. */
  readonly copyTarget?: Remote;
  readonly formats?: Formats;
  readonly diskSpace?: Context['diskSpace'];
  readonly findStoreUsers?: Context['findStoreUsers'];
  readonly locateHome?: (store: string) => Promise<Home>;
  /** The program that asks, for the operation log. Default: the script that this process runs. */
  readonly program?: string | undefined;
  /** What `indexFile('-')` reads. Default: a file of that name. */
  readonly stdin?: () => Readable;
}

/** The ways in which a call gets at store and remote. */
export interface StoreAccess {
  /** Without the store's lock: for calls that write nothing locally. */
  readonly read: <T>(work: (context: Context) => Promise<T>, signal: AbortSignal | undefined) => Promise<T>;
  /** As `read`, for calls that keep something of their own in the home: it gets the store's owner. */
  readonly keep: <T>(
    command: string,
    work: (context: Context) => Promise<T>,
    signal: AbortSignal | undefined,
  ) => Promise<T>;
  /** As `read`, of another directory in the place of the store. Nothing is excluded from it. */
  readElsewhere<T>(
    dir: string,
    work: (context: Context) => Promise<T>,
    signal: AbortSignal | undefined,
  ): Promise<T>;
  /** Under the store's lock, after what an interrupted run left is finished. `interrupted`: a restore that is not. */
  readonly write: <T>(
    command: string,
    work: (context: Context, interrupted: ReplaceJournal | undefined) => Promise<T>,
    signal: AbortSignal | undefined,
  ) => Promise<T>;
  /** As `write`, but STORE_CORRUPT after an interrupted restore. */
  readonly writeWhole: <T>(
    command: string,
    work: (context: Context) => Promise<T>,
    signal: AbortSignal | undefined,
  ) => Promise<T>;
  /** With a new directory in the place of the store. */
  writeElsewhere<T>(
    dir: string,
    work: (context: Context) => Promise<T>,
    signal: AbortSignal | undefined,
  ): Promise<T>;
  home(): Promise<Home>;
  /** The home, and the disk as it writes there. */
  place(): Promise<{ readonly home: Home; readonly fs: FileSystem }>;
  /** Requests made so far. */
  counts(): RequestCounts;
  close(): Promise<void>;
}

/** For calls that need none: every request of it rejects. */
const noRemote = lazy('no remote', async () => {
  throw new SyncAgentError('USAGE', 'Cannot work without a remote: none is configured', {
    remedy: 'Run "sync-agent init", or name one',
  });
});

/** Chooses the real parts: remote, file system, adapters, clock. Touches neither disk nor network before the first call. */
export function openStoreAccess(settings: AgentSettings, ports: AgentPorts): StoreAccess {
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
  const openConfigured = async (): Promise<OpenedRemote> =>
    settings.remote === ''
      ? { remote: noRemote, prefixBytes: 0, remoteId: '' }
      : openRemote(settings.remote, { ...settings, clock, emit, fs: disk });
  const openContext = async (home: Home, signal: AbortSignal | undefined, fs = disk): Promise<Context> => {
    opened ??=
      ports.remote === undefined
        ? openConfigured()
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
      phases: new PhaseTimes(clock),
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
  const read: StoreAccess['read'] = async (work, signal) => {
    const home = await locateHome(settings.store);
    return explained('look at', home, async () => work(await openContext(home, signal)));
  };

  const keep: StoreAccess['keep'] = async (command, work, signal) => {
    const home = await locateHome(settings.store);
    return explained(command, home, async () => work(await openContext(home, signal, await ownedBy(home))));
  };

  const write: StoreAccess['write'] = async (command, work, signal) => {
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

  return {
    read,
    keep,
    readElsewhere: async (dir, work, signal) => {
      const home = await locate(dir);
      return explained('look at', home, async () => work(await openContext(home, signal)));
    },
    write,
    writeWhole: (command, work, signal) =>
      write(
        command,
        (context, interrupted) => {
          if (interrupted === undefined) return work(context);
          throw new SyncAgentError(
            'STORE_CORRUPT',
            `Cannot ${command} "${context.home.store}": a restore was interrupted in it`,
            { remedy: 'Run "sync-agent restore" to finish it' },
          );
        },
        signal,
      ),
    writeElsewhere: async (dir, work, signal) => {
      // A new directory belongs to nobody yet, so nothing is excluded from it.
      const home = await locate(dir);
      // A snapshot can be looked at although the store itself is not usable.
      const own = await locateHome(settings.store).catch(() => undefined);
      if (own !== undefined) {
        assertOutside(own, home.store, { action: 'Cannot restore to', mayBeStore: true });
      }
      return explained('restore to', home, async () =>
        work(await openContext(home, signal, await ownedBy(home))),
      );
    },
    home: () => locateHome(settings.store),
    place: async () => {
      const home = await locateHome(settings.store);
      return { home, fs: await ownedBy(home) };
    },
    counts: () => counted?.counts() ?? noRequests,
    close: async () => {
      await (await opened)?.remote.close();
    },
  };
}
