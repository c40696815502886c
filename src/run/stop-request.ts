import type { Clock } from '../platform/clock.ts';
import type { ReceivedSignal, SignalSource } from './process-signals.ts';

/** How the time between the signal and our exit is divided. Each time is in milliseconds after the signal. */
export interface ShutdownPlan {
  /** Until then only the command is asked to end: it may know in which order its processes should end. */
  readonly othersMs: number;
  /** Until then the final backup waits for the command to end. After that it begins while the command runs. */
  readonly commandMs: number;
  /** Then all its remaining processes are killed. A busy writer can prevent the last backup, so this leaves time for one after it. */
  readonly killMs: number;
  /** By then the final backup has ended or is aborted. */
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

/** How long an aborted backup may take to clean up in the remote. */
const cleanUpMs = 1000;
/** `timeout` and `npm run` forward a signal that the whole process group already received. That counts as one request, not two. */
const sameRequestMs = 1000;

const stopSignals = ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const;
/** These are meant for the command: servers reload on SIGHUP. If the command ends, that is an exit like any other. */
const forwardedSignals = ['SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGWINCH'] as const;

/** Signals that abort one after the other after a request to stop. */
export interface StopRequest {
  /** The first signal that asked to stop. Undefined before it. */
  readonly signal: () => ReceivedSignal | undefined;
  /** When the final backup must have ended, by the monotonic clock. Infinity before a request to stop. */
  readonly deadlineMs: () => number;
  readonly requested: AbortSignal;
  readonly othersAsked: AbortSignal;
  readonly commandOver: AbortSignal;
  readonly killing: AbortSignal;
  readonly giveUp: AbortSignal;
  /** This process exits, whatever is still running. */
  readonly over: AbortSignal;
  /** Starts the budget without a signal, because the command ended by itself. A later signal starts it again. */
  begin(): void;
  /**
   * The final backup made progress. If no signal asked to stop, the budget starts again. With `isLocal` the backup works on
   * this host only, which always ends: the budget is paused until the next call.
   */
  moved(isLocal: boolean): void;
  /** Stops handling signals, and cancels all timers. */
  release(): void;
}

export interface StopRequestOptions {
  readonly signals: SignalSource;
  readonly clock: Clock;
  readonly budgetMs: number;
  /** Receives the signals that are meant for the command. */
  readonly forward: (name: NodeJS.Signals) => void;
}

/** The first SIGTERM, SIGINT or SIGQUIT starts the budget. A second one ends it at once. */
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

/** Progress comes with each chunk. The budget need not start again that often. */
const oftenEnoughMs = 100;

/** A signal that aborts once: by `close`, or at the time that was set. */
interface Latch {
  readonly signal: AbortSignal;
  close(): void;
  /** Replaces the time that was set before. Infinity: only `close` aborts it. */
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
