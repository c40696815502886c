import type { Clock } from '../platform/clock.ts';
import type { ReceivedSignal, SignalSource } from './process-signals.ts';

/** How the time from the signal to our exit is shared out; each in milliseconds after the signal. */
export interface ShutdownPlan {
  /** Until then the command alone is asked to end: it may know an order in which its own processes should. */
  readonly othersMs: number;
  /** Until then the command may end by itself; then it is backed up while it runs. */
  readonly commandMs: number;
  /** Then all that is left of it is killed: early enough to save what it wrote last, which a busy writer may prevent. */
  readonly killMs: number;
  /** By then the final backup has ended, one way or the other. */
  readonly backupMs: number;
}

export function planShutdown(budgetMs: number): ShutdownPlan {
  return {
    othersMs: budgetMs * 0.15,
    commandMs: budgetMs * 0.6,
    killMs: budgetMs * 0.75,
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
  readonly othersAsked: AbortSignal;
  readonly commandOver: AbortSignal;
  readonly killing: AbortSignal;
  readonly giveUp: AbortSignal;
  /** We exit, whatever still runs. */
  readonly over: AbortSignal;
  /** Starts the budget without a signal: the command ended by itself. A signal starts it anew. */
  begin(): void;
  /**
   * The final backup moved on, and nobody hurries us: it may go on for another budget. With `isLocal` it works on this
   * host alone, which always ends: no time is counted until the next call.
   */
  moved(isLocal: boolean): void;
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
  const othersAsked = latch(clock);
  const commandOver = latch(clock);
  const killing = latch(clock);
  const giveUp = latch(clock);
  const over = latch(clock);
  const latches = [othersAsked, commandOver, killing, giveUp, over];
  let first: ReceivedSignal | undefined;
  let firstMs = 0;
  let hasBegun = false;
  let movedMs = -Infinity;

  const plan = planShutdown(budgetMs);
  const startBudget = (): void => {
    othersAsked.closeIn(plan.othersMs);
    commandOver.closeIn(plan.commandMs);
    killing.closeIn(plan.killMs);
    giveUp.closeIn(plan.backupMs);
    over.closeIn(budgetMs);
  };
  const onSignal = (signal: ReceivedSignal): void => {
    if ((forwardedSignals as readonly string[]).includes(signal.name)) {
      forward(signal.name);
    } else if (first === undefined) {
      first = signal;
      firstMs = clock.monotonic();
      requested.abort();
      startBudget();
    } else if (clock.monotonic() - firstMs >= sameRequestMs) {
      for (const each of [othersAsked, commandOver, killing, giveUp]) each.close();
      if (firstMs + budgetMs - clock.monotonic() > cleanUpMs) over.closeIn(cleanUpMs);
    }
  };
  const release = signals.listen([...stopSignals, ...forwardedSignals], onSignal);
  return {
    signal: () => first,
    deadlineMs: () => (first === undefined ? Infinity : firstMs + plan.backupMs),
    requested: requested.signal,
    othersAsked: othersAsked.signal,
    commandOver: commandOver.signal,
    killing: killing.signal,
    giveUp: giveUp.signal,
    over: over.signal,
    begin: () => {
      if (first !== undefined || hasBegun) return;
      hasBegun = true;
      startBudget();
    },
    moved: (isLocal) => {
      const nowMs = clock.monotonic();
      if (first !== undefined || !hasBegun || (!isLocal && nowMs - movedMs < oftenEnoughMs)) return;
      movedMs = isLocal ? -Infinity : nowMs;
      giveUp.closeIn(isLocal ? Infinity : plan.backupMs);
      over.closeIn(isLocal ? Infinity : budgetMs);
    },
    release: () => {
      release();
      for (const each of latches) each.release();
    },
  };
}

/** Progress comes with each chunk; the budget need not start anew that often. */
const oftenEnoughMs = 100;

/** A signal that aborts once, by hand or when its time has come. */
interface Latch {
  readonly signal: AbortSignal;
  close(): void;
  /** Instead of whatever time was set before; Infinity: not by itself. */
  closeIn(ms: number): void;
  release(): void;
}

function latch(clock: Clock): Latch {
  const controller = new AbortController();
  let timer = new AbortController();
  return {
    signal: controller.signal,
    close: () => controller.abort(),
    closeIn: (ms) => {
      timer.abort();
      if (ms === Infinity) return;
      timer = new AbortController();
      clock.sleep(ms, { signal: timer.signal }).then(
        () => controller.abort(),
        () => undefined,
      );
    },
    release: () => timer.abort(),
  };
}
