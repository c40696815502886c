import type { Clock } from '../../platform/clock.ts';
import { fromFileSystem, messageOf } from '../../platform/errors.ts';
import type { ChangeSource, DaemonEvent } from '../../platform/events.ts';
import type { Exclusions } from '../../stores/content/exclusions.ts';
import { fingerprint, storeIdentity } from '../../stores/content/fingerprint.ts';
import { emptyScan, scanStore } from '../../stores/content/scan.ts';
import type { ScanResult } from '../../stores/content/scan.ts';
import { watchEvents } from './watch-events.ts';
import type { EventWatch } from './watch-events.ts';

export interface WatcherOptions {
  readonly store: string;
  /** What in it is not looked at. */
  readonly exclude?: Exclusions | undefined;
  /** `auto`: the system's events while they prove true, else polling. */
  readonly detect: 'auto' | 'events' | 'poll';
  /** How often the files' times are looked at, whatever the events say. */
  readonly pollIntervalMs: number;
  readonly clock: Clock;
  readonly emit: (event: DaemonEvent) => void;
  /** The store was, or may have been, written: at `atMs` at the earliest. */
  readonly onChange: (source: ChangeSource, atMs: number) => void;
  /** A look failed: what cannot be seen may have changed. */
  readonly onTrouble: (message: string) => void;
  /** Instead of the system's events. */
  readonly openEvents?: typeof watchEvents;
}

export interface Watcher {
  /** How changes are noticed at present. */
  by(): 'events' | 'polling';
  /** To be called when the directory was replaced, as by a restore. */
  again(): Promise<void>;
  stop(): Promise<void>;
}

/** A look at many files must not become the machine's main work. */
const restPerLook = 20;
const eventPatienceMs = 2000;

/**
 * Notices that a store is written, by two means. Events come at once, but not from every file system: network and some
 * overlay mounts have none, and the kernel's number of watches is limited. So every so often all files' sizes and times are looked at as
 * well, which opens nothing. A change that only the look saw is proof that events do not work here: from then on looks are relied on.
 */
export async function watchStore(options: WatcherOptions): Promise<Watcher> {
  const { store, exclude, clock, emit, onChange, onTrouble } = options;
  const stopping = new AbortController();
  let events: EventWatch | undefined;
  let turn: Promise<void> = Promise.resolve();
  let eventsSinceLook = 0;
  let lastEventAtMs = -Infinity;
  let seen = await lookAt(store, exclude).catch((error: unknown) => {
    throw fromFileSystem(error, `Cannot look at the store "${store}"`);
  });
  let lookedAtMs = clock.now();

  const announce = (why?: string): void =>
    emit({
      type: 'watching',
      by: events === undefined ? 'polling' : 'events',
      ...(why === undefined ? {} : { why }),
    });
  const giveEventsUp = async (why: string): Promise<void> => {
    const given = events;
    events = undefined;
    if (given === undefined || stopping.signal.aborted) return;
    announce(why);
    await given.close().catch(() => undefined);
  };
  /** Resolves to what is wrong with them, if anything is. */
  const openEvents = async (): Promise<string | undefined> => {
    if (options.detect === 'poll') return undefined;
    let failure: string | undefined;
    const opened = await (options.openEvents ?? watchEvents)(store, {
      exclude,
      onEvent: () => {
        eventsSinceLook += 1;
        lastEventAtMs = clock.now();
        onChange('events', lastEventAtMs);
      },
      onError: (error) => {
        failure ??= `the system's events failed: ${messageOf(error)}`;
        void giveEventsUp(failure);
      },
    });
    if (failure === undefined && !stopping.signal.aborted) events = opened;
    else await opened.close().catch(() => undefined);
    return failure;
  };
  const reopen = async (): Promise<void> => {
    const old = events;
    if (old === undefined || stopping.signal.aborted) return;
    events = undefined;
    await old.close().catch(() => undefined);
    const failure = await openEvents();
    if (failure !== undefined) announce(failure);
    // In between nobody watched.
    const found = await lookAt(store, exclude);
    if (found.digest !== seen.digest) onChange('polling', lookedAtMs);
    seen = found;
  };
  /** Looks and new watches one at a time: each relies on what it saw, and a watch that nobody knows of would never end. */
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const done = turn.then(work);
    turn = done.then(
      () => undefined,
      () => undefined,
    );
    return done;
  };

  /** Resolves to how long the look itself took. */
  const look = async (): Promise<number> => {
    const startedAtMs = clock.now();
    const startedAt = clock.monotonic();
    const found = await lookAt(store, exclude).catch((error: unknown) => {
      // Whatever is there, it is not what the events are of.
      seen = unseen;
      throw error;
    });
    const tookMs = clock.monotonic() - startedAt;
    if (found.digest !== seen.digest && (eventsSinceLook === 0 || found.newestMs > lastEventAtMs)) {
      // An event tells of what was written before it, and not of what came later.
      onChange('polling', lookedAtMs);
      if (
        eventsSinceLook === 0 &&
        found.identity === seen.identity &&
        options.detect === 'auto' &&
        events !== undefined
      ) {
        // Its event may be on its way.
        await clock.sleep(eventPatienceMs, { signal: stopping.signal });
        if (eventsSinceLook === 0) await giveEventsUp('a change came without an event');
      }
    }
    const isAnother = found.identity !== seen.identity;
    seen = found;
    eventsSinceLook = 0;
    lookedAtMs = startedAtMs;
    // Events are of a directory, not of a path.
    if (isAnother) await reopen();
    return tookMs;
  };

  const run = async (): Promise<void> => {
    let pauseMs = options.pollIntervalMs;
    while (!stopping.signal.aborted) {
      await clock.sleep(pauseMs, { signal: stopping.signal }).catch(() => undefined);
      if (stopping.signal.aborted) return;
      const tookMs = await inTurn(look).catch((error: unknown) => {
        if (!stopping.signal.aborted) onTrouble(messageOf(error));
        return 0;
      });
      pauseMs = Math.max(options.pollIntervalMs, tookMs * restPerLook);
    }
  };

  announce(await openEvents());
  const loop = run();
  return {
    by: () => (events === undefined ? 'polling' : 'events'),
    again: () =>
      inTurn(async () => {
        if (stopping.signal.aborted) return;
        const startedAtMs = clock.now();
        const found = await lookAt(store, exclude);
        // Beside what replaced it somebody may have written; the next backup tells the two apart.
        if (found.digest !== seen.digest) onChange('polling', lookedAtMs);
        seen = found;
        lookedAtMs = startedAtMs;
        await reopen();
      }),
    stop: async () => {
      stopping.abort();
      await loop;
      await turn;
      await events?.close();
    },
  };
}

interface Look {
  readonly digest: string;
  readonly identity: string;
  /** The newest time of a file or directory, milliseconds since the epoch. */
  readonly newestMs: number;
}

const unseen: Look = { digest: '', identity: '', newestMs: -Infinity };

/** A store that is not there, or not yet, looks like an empty one. */
async function lookAt(store: string, exclude: Exclusions | undefined): Promise<Look> {
  const [scan, identity] = await Promise.all([
    scanStore(store, exclude).catch((error: unknown): ScanResult => {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return emptyScan;
      throw error;
    }),
    storeIdentity(store),
  ]);
  return { digest: `${identity} ${fingerprint(scan)}`, identity, newestMs: newestMsOf(scan) };
}

function newestMsOf({ files, directoriesChangedNs }: ScanResult): number {
  let newestNs = directoriesChangedNs;
  for (const { path, mtimeNs, ctimeNs } of files) {
    // Opening a database touches what the fingerprint leaves out, too.
    if (path.endsWith('-shm')) continue;
    const changedNs = path.endsWith('-wal') ? mtimeNs : ctimeNs;
    if (changedNs > newestNs) newestNs = changedNs;
  }
  return Number(newestNs) / 1e6;
}
