import type { Clock } from '../../platform/clock.ts';
import { fromFileSystem, messageOf } from '../../platform/errors.ts';
import type { ChangeSource, DaemonEvent } from '../../platform/events.ts';
import type { Exclusions } from '../../stores/content/exclusions.ts';
import { nothingObserved, observeStore } from './observe-store.ts';
import { watchEvents } from './watch-events.ts';
import type { EventWatch } from './watch-events.ts';

export interface WatcherOptions {
  readonly store: string;
  /** What in the store is not watched. */
  readonly exclude?: Exclusions | undefined;
  /** `auto`: the system's events as long as they can be trusted, else polling. */
  readonly detect: 'auto' | 'events' | 'poll';
  /** How often the files' times are polled, beside the events. */
  readonly pollIntervalMs: number;
  readonly clock: Clock;
  readonly emit: (event: DaemonEvent) => void;
  /** The store was, or may have been, written, at `atMs` at the earliest. */
  readonly onChange: (source: ChangeSource, atMs: number) => void;
  /** A poll failed: the store may have changed unseen. */
  readonly onTrouble: (message: string) => void;
  /** Instead of the system's events. */
  readonly openEvents?: typeof watchEvents;
}

export interface Watcher {
  /** How changes are noticed now. */
  by(): 'events' | 'polling';
  /** To be called after the directory was replaced, by a restore for example. */
  again(): Promise<void>;
  stop(): Promise<void>;
}

/** A poll of many files must not become the machine's main work: it may take a twentieth of the time. */
const restPerPoll = 20;
const eventPatienceMs = 2000;

/**
 * Notices that a store is written, in two ways. Events come at once, but not from every file system: network and some
 * overlay mounts have none, and the kernel limits the number of watches. So all files' sizes and times are polled too, which opens no
 * file. A change that only the poll saw proves that events do not work here: from then on polling alone counts.
 */
export async function watchStore(options: WatcherOptions): Promise<Watcher> {
  const { store, exclude, clock, emit, onChange, onTrouble } = options;
  const stopping = new AbortController();
  let events: EventWatch | undefined;
  let turn: Promise<void> = Promise.resolve();
  let eventsSincePoll = 0;
  let lastEventAtMs = -Infinity;
  let seen = await observeStore(store, exclude).catch((error: unknown) => {
    throw fromFileSystem(error, `Cannot look at the store "${store}"`);
  });
  let polledAtMs = clock.now();

  const announce = (why?: string): void =>
    emit({
      type: 'watching',
      by: events === undefined ? 'polling' : 'events',
      ...(why === undefined ? {} : { why }),
    });
  const giveUpEvents = async (why: string): Promise<void> => {
    const given = events;
    events = undefined;
    if (given === undefined || stopping.signal.aborted) return;
    announce(why);
    await given.close().catch(() => undefined);
  };
  /** Resolves to the reason when events do not work. */
  const openEvents = async (): Promise<string | undefined> => {
    if (options.detect === 'poll') return undefined;
    let failure: string | undefined;
    const opened = await (options.openEvents ?? watchEvents)(store, {
      exclude,
      onEvent: () => {
        eventsSincePoll += 1;
        lastEventAtMs = clock.now();
        onChange('events', lastEventAtMs);
      },
      onError: (error) => {
        failure ??= `the system's events failed: ${messageOf(error)}`;
        void giveUpEvents(failure);
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
    // Nobody watched in between.
    const found = await observeStore(store, exclude);
    if (found.digest !== seen.digest) onChange('polling', polledAtMs);
    seen = found;
  };
  /** One poll or new watch at a time: each relies on what was seen last, and a forgotten watch would never end. */
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const done = turn.then(work);
    turn = done.then(
      () => undefined,
      () => undefined,
    );
    return done;
  };

  /** Resolves to how long the observation took, milliseconds. */
  const poll = async (): Promise<number> => {
    const startedAtMs = clock.now();
    const startedAt = clock.monotonic();
    const found = await observeStore(store, exclude).catch((error: unknown) => {
      // Whatever is there now, the events are about another directory.
      seen = nothingObserved;
      throw error;
    });
    const tookMs = clock.monotonic() - startedAt;
    if (found.digest !== seen.digest && (eventsSincePoll === 0 || found.newestMs > lastEventAtMs)) {
      // An event covers what was written before it, not what came later.
      onChange('polling', polledAtMs);
      if (
        eventsSincePoll === 0 &&
        found.identity === seen.identity &&
        options.detect === 'auto' &&
        events !== undefined
      ) {
        // Its event may still arrive.
        await clock.sleep(eventPatienceMs, { signal: stopping.signal });
        if (eventsSincePoll === 0) await giveUpEvents('a change came without an event');
      }
    }
    const isAnother = found.identity !== seen.identity;
    seen = found;
    eventsSincePoll = 0;
    polledAtMs = startedAtMs;
    // Events belong to a directory, not to a path.
    if (isAnother) await reopen();
    return tookMs;
  };

  const run = async (): Promise<void> => {
    let pauseMs = options.pollIntervalMs;
    while (!stopping.signal.aborted) {
      await clock.sleep(pauseMs, { signal: stopping.signal }).catch(() => undefined);
      if (stopping.signal.aborted) return;
      const tookMs = await inTurn(poll).catch((error: unknown) => {
        if (!stopping.signal.aborted) onTrouble(messageOf(error));
        return 0;
      });
      pauseMs = Math.max(options.pollIntervalMs, tookMs * restPerPoll);
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
        const found = await observeStore(store, exclude);
        // Somebody may have written besides the restore; the next backup finds out.
        if (found.digest !== seen.digest) onChange('polling', polledAtMs);
        seen = found;
        polledAtMs = startedAtMs;
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
