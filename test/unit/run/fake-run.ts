import type { CommandExit, RunningCommand } from '../../../src/run/command-process.ts';
import type { SignalSource } from '../../../src/run/process-signals.ts';
import type { StoreKeeper, StoreRecovery } from '../../../src/run/store-keeper.ts';
import { supervise } from '../../../src/run/supervise.ts';
import type { Supervised } from '../../../src/run/supervise.ts';
import { SyncAgentError } from '../../../src/platform/errors.ts';
import type { DaemonEvent } from '../../../src/platform/events.ts';
import { virtualClock } from '../../support/virtual-clock.ts';

/** One life of a supervised command. Times are milliseconds from its beginning unless said otherwise. */
export interface Script {
  readonly budgetMs?: number;
  readonly restores?: boolean;
  readonly restore?: { readonly ms: number; readonly fails?: boolean; readonly heedsAbort?: boolean };
  readonly startMs?: number;
  readonly command?: {
    readonly cannotStart?: 'NOT_FOUND' | 'DENIED';
    readonly spawnMs?: number;
    readonly cannotBeKilled?: boolean;
    /** After its start, by itself. */
    readonly exitsAfterMs?: number;
    readonly exit?: CommandExit;
    /** How long it takes to end after each signal it heeds. */
    readonly endsAfter?: Partial<Record<NodeJS.Signals, number>>;
  };
  /** A process that the command leaves behind: it ends only by itself, after so long, or by a signal that it heeds. */
  readonly other?: {
    /** After the command; 0 by default. */
    readonly startsAfterMs?: number;
    /** True by default. */
    readonly hasStoreOpen?: boolean;
    readonly exitsAfterMs?: number;
    readonly endsAfter?: Partial<Record<NodeJS.Signals, number>>;
  };
  /** Another program that has the store open from the beginning to then. */
  readonly writerUntilMs?: number;
  /** The store is found damaged at these times, and may be recovered. */
  readonly damage?: {
    readonly atMs: readonly number[];
    readonly recoverMs?: number;
    readonly fails?: boolean;
  };
  /** How often a backup tells that it moved on. */
  readonly progressEveryMs?: number;
  /** One for each backup; the last one goes on. */
  readonly stops?: readonly {
    readonly ms: number;
    readonly isSaved?: boolean;
    readonly rejects?: boolean;
    readonly heedsAbort?: boolean;
  }[];
  readonly signals?: readonly {
    readonly atMs: number;
    readonly name: NodeJS.Signals;
    readonly isTyped?: boolean;
  }[];
}

export interface Life {
  readonly result: Supervised | { readonly rejected: unknown };
  /** `12000 command SIGTERM`: what happened when. */
  readonly log: readonly string[];
  readonly events: readonly DaemonEvent[];
  readonly endedMs: number;
  /** Sleeps and signal listeners of the supervisor that were left. */
  readonly leftOver: number;
  readonly isCommandRunning: boolean;
  readonly isOtherRunning: boolean;
  /** Each backup: when it began and ended, whether the command ran at its beginning, and what it said. */
  readonly backups: readonly {
    readonly beganMs: number;
    readonly deadlineMs: number;
    readonly reason: string;
    readonly wasRunning: boolean;
    readonly isSaved: boolean;
  }[];
}

/** Plays a script in virtual time. */
export async function live(script: Script): Promise<Life> {
  const clock = virtualClock();
  const bornMs = clock.monotonic();
  const bornWallMs = clock.now();
  const at = (): number => clock.monotonic() - bornMs;
  const log: string[] = [];
  const note = (text: string): void => void log.push(`${at()} ${text}`);
  const events: DaemonEvent[] = [];
  const backups: Life['backups'][number][] = [];
  const world = new AbortController();
  const listeners = new Set<(signal: { name: NodeJS.Signals; isTyped: boolean }) => void>();
  const progress = new Set<(isLocal: boolean) => void>();
  let isRunning = false;
  let isOtherRunning = false;

  /** Sleeps, unless the signal aborts: then rejects with INTERRUPTED. */
  const work = async (ms: number, signal: AbortSignal | undefined): Promise<void> => {
    await clock.sleep(ms, { signal: signal === undefined ? world.signal : signal });
  };
  const later = (ms: number, act: () => void): void => {
    void clock.sleep(ms, { signal: world.signal }).then(act, () => undefined);
  };
  const signals: SignalSource = {
    listen: (_names, onSignal) => {
      listeners.add(onSignal);
      return () => void listeners.delete(onSignal);
    },
  };
  for (const { atMs, name, isTyped = false } of script.signals ?? []) {
    later(atMs, () => {
      note(`signal ${name}`);
      const canBeTyped = name === 'SIGINT' || name === 'SIGQUIT';
      for (const listener of listeners) listener({ name, isTyped: isTyped && canBeTyped });
    });
  }

  const damageListeners = new Set<() => void>();
  for (const atMs of script.damage?.atMs ?? []) {
    later(atMs, () => {
      note('damage found');
      for (const listener of damageListeners) listener();
    });
  }
  const recovery: StoreRecovery = {
    onDamage: (listener) => {
      damageListeners.add(listener);
      return () => void damageListeners.delete(listener);
    },
    recover: async ({ signal }) => {
      note(isRunning || isOtherRunning ? 'recover WHILE IT RUNS' : 'recover');
      await work(script.damage?.recoverMs ?? 0, signal);
      if (script.damage?.fails === true) throw new SyncAgentError('REMOTE_UNREACHABLE', 'Cannot reach it');
      note('recovered');
    },
  };
  const keeper: StoreKeeper = {
    ...(script.damage === undefined ? {} : { recovery }),
    restore: async ({ signal }) => {
      note('restore');
      const { ms = 0, fails = false, heedsAbort = true } = script.restore ?? {};
      await work(ms, heedsAbort ? signal : undefined);
      if (fails) throw new SyncAgentError('SNAPSHOT_CORRUPT', 'Cannot restore it');
      note('restored');
    },
    start: async () => {
      note('start');
      await work(script.startMs ?? 0, undefined);
    },
    stop: async ({ reason, deadlineMs, signal }) => {
      const {
        ms,
        isSaved = true,
        rejects = false,
        heedsAbort = true,
      } = script.stops?.at(Math.min(backups.length, script.stops.length - 1)) ?? { ms: 100 };
      const index = backups.length;
      const backup = {
        beganMs: at(),
        deadlineMs: deadlineMs - bornMs,
        reason,
        wasRunning: isRunning || isOtherRunning,
        isSaved: false,
      };
      backups.push(backup);
      note('stop');
      const tell = new AbortController();
      if (script.progressEveryMs !== undefined) {
        const everyMs = script.progressEveryMs;
        const goOn = async (): Promise<void> => {
          for (;;) {
            await clock.sleep(everyMs, { signal: tell.signal });
            for (const listener of progress) listener(false);
          }
        };
        goOn().catch(() => undefined);
      }
      const isInTime = clock.monotonic() + ms <= deadlineMs;
      try {
        await work(
          heedsAbort ? Math.max(0, Math.min(ms, deadlineMs - clock.monotonic())) : ms,
          heedsAbort ? signal : undefined,
        );
      } catch {
        return { isSaved: false, unsavedSinceMs: 7 };
      } finally {
        tell.abort();
      }
      if (rejects) throw new Error('a defect');
      backups[index] = { ...backup, isSaved: isSaved && isInTime };
      note(isSaved && isInTime ? 'saved' : 'not saved');
      return isSaved && isInTime
        ? { isSaved: true, unsavedSinceMs: null }
        : { isSaved: false, unsavedSinceMs: 7 };
    },
    onProgress: (listener) => {
      progress.add(listener);
      return () => void progress.delete(listener);
    },
    findWriters: async () => (at() < (script.writerUntilMs ?? 0) ? [{ pid: 44, command: 'another' }] : []),
  };

  const start = async (): Promise<RunningCommand> => {
    const { cannotStart, exitsAfterMs, exit, endsAfter = {} } = script.command ?? {};
    if (cannotStart !== undefined) throw new SyncAgentError(cannotStart, 'Cannot start it');
    await work(script.command?.spawnMs ?? 0, undefined);
    isRunning = true;
    note('command started');
    // Whose child it is shows only while the command lives. Once seen it stays known.
    let isOtherKnown = false;
    const startOther = (): void => {
      isOtherRunning = isRunning;
    };
    if (script.other?.startsAfterMs !== undefined) later(script.other.startsAfterMs, startOther);
    else if (script.other !== undefined) startOther();
    const living = (): readonly { readonly pid: number }[] => {
      if (isRunning) isOtherKnown ||= isOtherRunning;
      return isOtherRunning && isOtherKnown ? [{ pid: 43 }] : [];
    };
    const endOther = (): void => {
      if (!isOtherRunning) return;
      isOtherRunning = false;
      note('other ended');
    };
    if (script.other?.exitsAfterMs !== undefined) later(script.other.exitsAfterMs, endOther);
    let end: (how: CommandExit) => void = () => undefined;
    const exited = new Promise<CommandExit>((resolve) => {
      end = (how) => {
        if (!isRunning) return;
        isRunning = false;
        note(`command exited ${how.exitCode ?? how.signal ?? ''}`);
        resolve(how);
      };
    });
    const endAfter = (ms: number, how: CommandExit): void => later(ms, () => end(how));
    if (exitsAfterMs !== undefined) endAfter(exitsAfterMs, exit ?? { exitCode: 0, signal: null });
    return {
      pid: 42,
      exited,
      signal: (name) => {
        if (!isRunning) return;
        note(`command ${name}`);
        if (name === 'SIGKILL') {
          if (script.command?.cannotBeKilled !== true) end({ exitCode: null, signal: 'SIGKILL' });
        } else if (endsAfter[name] !== undefined)
          endAfter(endsAfter[name], exit ?? { exitCode: null, signal: name });
      },
      tree: {
        living,
        signal: (name, to = living()) => {
          if (!isOtherRunning || !to.some(({ pid }) => pid === 43)) return;
          note(`other ${name}`);
          const heeds = script.other?.endsAfter?.[name];
          if (name === 'SIGKILL') endOther();
          else if (heeds !== undefined) later(heeds, endOther);
        },
        // The store that it has open gives it away.
        adopt: () => {
          isOtherKnown ||= script.other?.hasStoreOpen !== false;
        },
      },
    };
  };

  const supervised = supervise(
    keeper,
    { name: 'server', start },
    {
      shutdownBudgetMs: script.budgetMs ?? 25_000,
      restore: script.restores ?? true,
      signals,
      clock,
      emit: (event) => events.push(event),
    },
  );
  const result = await clock.run(supervised.catch((rejected: unknown) => ({ rejected })));
  const endedMs = at();
  world.abort();
  await new Promise((resolve) => setImmediate(resolve));
  return {
    result: 'unsavedSinceMs' in result ? relative(result, bornWallMs) : result,
    log,
    events,
    endedMs,
    leftOver: clock.pending() + listeners.size + progress.size + damageListeners.size,
    isCommandRunning: isRunning,
    isOtherRunning,
    backups,
  };
}

/** What the supervisor dated itself, from the beginning of the script. */
function relative(result: Supervised, bornMs: number): Supervised {
  const { unsavedSinceMs } = result;
  return unsavedSinceMs === null || unsavedSinceMs < bornMs
    ? result
    : { ...result, unsavedSinceMs: unsavedSinceMs - bornMs };
}
