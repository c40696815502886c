import type { Clock } from '../clock.ts';
import type { ReceivedSignal, SignalSource } from './process-signals.ts';

/** How the time from the signal to our exit is shared out; each in milliseconds after the signal. */
export interface ShutdownPlan {
  /** Until then the command may end by itself; then it is backed up while it runs. */
  readonly commandMs: number;
  /** Then it is killed: early enough to save what it wrote last, if that is little. */
  readonly killMs: number;
  /** By then the final backup has ended, one way or the other. */
  readonly backupMs: number;
}

export function planShutdown(budgetMs: number): ShutdownPlan {
  return {
    commandMs: budgetMs * 0.6,
    killMs: budgetMs * 0.9,
    backupMs: budgetMs - Math.min(cleanUpMs, budgetMs * 0.04),
  };
}

/** How long a backup that was told to give up may take to leave the remote clean. */
const cleanUpMs = 1000;
/** `timeout` and `npm run` pass a signal on that the whole process group got already: that is one request, not two. */
const sameRequestMs = 1000;

const stopSignals = ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const;
/** For the command to understand: servers reload on SIGHUP. If it ends by it, that is an exit like others. */
const forwardedSignals = ['SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGWINCH'] as const;

/** Latches that close one after the other once somebody asked to stop; each stays closed. */
export interface StopRequest {
  /** The first signal that asked, undefined before. */
  readonly signal: () => ReceivedSignal | undefined;
  /** When the final backup must have ended, monotonic; Infinity before anybody asked. */
  readonly deadlineMs: () => number;
  readonly requested: AbortSignal;
  readonly commandOver: AbortSignal;
  readonly killing: AbortSignal;
  readonly giveUp: AbortSignal;
  /** We exit, whatever still runs. */
  readonly over: AbortSignal;
  /** Gives the signals back, and lets no timer remain. */
  release(): void;
}

export interface StopRequestOptions {
  readonly signals: SignalSource;
  readonly clock: Clock;
  readonly budgetMs: number;
  /** Signals that ask for nothing of us. */
  readonly forward: (name: NodeJS.Signals) => void;
}

/** The first SIGTERM, SIGINT or SIGQUIT starts the budget; a second one ends it at once. */
export function listenForStop({ signals, clock, budgetMs, forward }: StopRequestOptions): StopRequest {
  const requested = new AbortController();
  const commandOver = new AbortController();
  const killing = new AbortController();
  const giveUp = new AbortController();
  const over = new AbortController();
  const released = new AbortController();
  let first: ReceivedSignal | undefined;
  let firstMs = 0;

  const abortAfter = (latch: AbortController, ms: number): void => {
    clock.sleep(ms, { signal: released.signal }).then(
      () => latch.abort(),
      () => undefined,
    );
  };
  const plan = planShutdown(budgetMs);
  const onSignal = (signal: ReceivedSignal): void => {
    if ((forwardedSignals as readonly string[]).includes(signal.name)) {
      forward(signal.name);
    } else if (first === undefined) {
      first = signal;
      firstMs = clock.monotonic();
      requested.abort();
      abortAfter(commandOver, plan.commandMs);
      abortAfter(killing, plan.killMs);
      abortAfter(giveUp, plan.backupMs);
      abortAfter(over, budgetMs);
    } else if (clock.monotonic() - firstMs >= sameRequestMs) {
      for (const latch of [commandOver, killing, giveUp]) latch.abort();
      abortAfter(over, cleanUpMs);
    }
  };
  const release = signals.listen([...stopSignals, ...forwardedSignals], onSignal);
  return {
    signal: () => first,
    deadlineMs: () => (first === undefined ? Infinity : firstMs + plan.backupMs),
    requested: requested.signal,
    commandOver: commandOver.signal,
    killing: killing.signal,
    giveUp: giveUp.signal,
    over: over.signal,
    release: () => {
      release();
      released.abort();
    },
  };
}
