import type { Clock } from '../platform/clock.ts';
import { SyncAgentError } from '../platform/errors.ts';
import type { DaemonEvent } from '../platform/events.ts';
import { exitCodeOfCommand, exitCodeOfSignal, exitCodeOfStart } from './command-process.ts';
import type { CommandExit, RunningCommand } from './command-process.ts';
import type { Saved } from '../api/daemon-status.ts';
import type { SignalSource } from './process-signals.ts';
import type { Writer } from './find-writers.ts';
import type { StoreKeeper } from './store-keeper.ts';
import { listenForStop } from './stop-request.ts';
import type { StopRequest } from './stop-request.ts';

export interface SuperviseOptions {
  /** From the signal that asks to stop to the end of this call. */
  readonly shutdownBudgetMs: number;
  /** Whether to restore before the command starts. */
  readonly restore: boolean;
  readonly signals: SignalSource;
  readonly clock: Clock;
  readonly emit: (event: DaemonEvent) => void;
}

export interface CommandToRun {
  /** For events. Without its arguments: they may hold secrets. */
  readonly name: string;
  start(): Promise<RunningCommand>;
}

export interface Supervised extends Saved {
  /** The command's; 128 and the signal's number if a signal ended it; a shell's if it could not be started. */
  readonly exitCode: number;
  /** Why there was no command. */
  readonly failure?: SyncAgentError;
  /** Processes that are not the command's and have the store open for writing, or the command's that do not end. */
  readonly writers: readonly Writer[];
}

/**
 *   restoring ──restored──▶ running ──asked to stop, or exited──▶ stopping ──all gone, or the share is over──▶ saving ⟲ ──▶ done
 *       ├── asked to stop ──────────────────────────────────────────────────────────────────────────────────────▶ done
 *       └── cannot start the command ──────────────────────────────────────────────────────────────────────▲
 *
 * "All" is the command with every process that it started: a shell that was told to stop leaves its server behind. `saving` is
 * entered again when one of them, or another writer that is gone now, lived at the beginning of the last backup: what
 * that one holds may not be all. A restore that fails rejects; no command was started, and nothing has to be saved.
 */
type State =
  | { readonly type: 'restoring' }
  | { readonly type: 'running' }
  | { readonly type: 'stopping' }
  | { readonly type: 'saving' }
  | { readonly type: 'done'; readonly result: Supervised };

/**
 * Restores, runs the command while `keeper` backs it up, and saves what it wrote last. Rejects only with what
 * `restore` or `start` rejected with; from the start of the command on, its exit code is the result, saved or not.
 * Within the budget it always resolves, and the command with all its processes has ended or was killed. Where nobody asked to
 * stop, the budget begins when the command ends, and begins again whenever the final backup moves on.
 */
export async function supervise(
  keeper: StoreKeeper,
  command: CommandToRun,
  options: SuperviseOptions,
): Promise<Supervised> {
  const run = new Run(keeper, command, options);
  try {
    let state: State = { type: 'restoring' };
    while (state.type !== 'done') state = await run.next(state);
    return state.result;
  } finally {
    run.release();
  }
}

class Run {
  readonly #keeper: StoreKeeper;
  readonly #command: CommandToRun;
  readonly #options: SuperviseOptions;
  readonly #request: StopRequest;
  #child: RunningCommand | undefined;
  #exited: Promise<void> = Promise.resolve();
  #exit: CommandExit | undefined;
  #failure: SyncAgentError | undefined;
  /** Since a backup, by whom it may be incomplete. */
  #writers: readonly Writer[] = [];
  #wasRepeated = false;
  readonly #asked = new Set<number>();
  readonly #endProgress: () => void;

  constructor(keeper: StoreKeeper, command: CommandToRun, options: SuperviseOptions) {
    this.#keeper = keeper;
    this.#command = command;
    this.#options = options;
    this.#request = listenForStop({
      signals: options.signals,
      clock: options.clock,
      budgetMs: options.shutdownBudgetMs,
      forward: (name) => this.#child?.signal(name),
    });
    const { requested, signal } = this.#request;
    requested.addEventListener('abort', () =>
      options.emit({ type: 'stopping', reason: signal()?.name ?? '' }),
    );
    this.#endProgress = keeper.onProgress((isLocal) => this.#request.moved(isLocal));
  }

  release(): void {
    this.#endProgress();
    this.#request.release();
  }

  async next(state: Exclude<State, { readonly type: 'done' }>): Promise<State> {
    switch (state.type) {
      case 'restoring':
        return (await this.#isRestored()) ? this.#start() : this.#done(nothingToSave);
      case 'running':
        await first(this.#exited, this.#request.requested);
        if (!this.#isRunning) {
          this.#options.emit({ type: 'stopping', reason: 'command-exit' });
          this.#request.begin();
        }
        return { type: 'stopping' };
      case 'stopping':
        this.#askToStop();
        await this.#untilAllGone(this.#request.commandOver);
        return { type: 'saving' };
      case 'saving':
        return this.#save();
      default:
        return state satisfies never;
    }
  }

  /** Whether the command may start. */
  async #isRestored(): Promise<boolean> {
    const { requested, over } = this.#request;
    try {
      if (this.#options.restore) await first(this.#keeper.restore({ signal: requested }), over);
    } catch (error) {
      if (!requested.aborted) throw error;
    }
    return !requested.aborted;
  }

  async #start(): Promise<State> {
    const { killing, over } = this.#request;
    await first(this.#keeper.start(), over);
    if (this.#request.requested.aborted) return { type: 'saving' };
    const { name } = this.#command;
    try {
      this.#child = await this.#command.start();
    } catch (error) {
      this.#failure =
        error instanceof SyncAgentError
          ? error
          : new SyncAgentError('INTERNAL', `Cannot start "${name}"`, { cause: error });
      return { type: 'saving' };
    }
    const { pid, exited } = this.#child;
    this.#options.emit({ type: 'command-started', pid, command: name });
    const kill = (): void => {
      // A shell whose child ends first would go on with its next line.
      const others = this.#others();
      this.#child?.signal('SIGKILL');
      this.#child?.tree.signal('SIGKILL', others);
    };
    killing.addEventListener('abort', kill, { once: true });
    if (killing.aborted) kill();
    this.#exited = this.#watch(exited);
    return { type: 'running' };
  }

  async #watch(exited: RunningCommand['exited']): Promise<void> {
    const exit = await exited;
    this.#exit = exit;
    this.#options.emit({ type: 'command-exited', ...exit, isExpected: !this.#isCrash });
  }

  get #isRunning(): boolean {
    return this.#child !== undefined && this.#exit === undefined;
  }

  /** The command or a process that it started. */
  get #isAnyLeft(): boolean {
    return this.#isRunning || this.#others().length > 0;
  }

  #others(): readonly { readonly pid: number }[] {
    return this.#child?.tree.living() ?? [];
  }

  /** It ended by itself, and not well. */
  get #isCrash(): boolean {
    return this.#exit !== undefined && this.#exit.exitCode !== 0 && !this.#request.requested.aborted;
  }

  #askToStop(): void {
    // Who is whose child is known only as long as the parent lives.
    this.#others();
    const signal = this.#request.signal();
    // Programs take a second Ctrl-C for impatience, so one that was typed is not repeated.
    if (signal !== undefined && !signal.isTyped) this.#child?.signal(signal.name);
  }

  /** Ends what the command leaves behind, or does not end in good time, until nothing is left or the latch closes. */
  async #untilAllGone(latch: AbortSignal): Promise<void> {
    const { othersAsked } = this.#request;
    for (let pauseMs = firstPauseMs; !latch.aborted; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      if (this.#isRunning)
        await first(this.#exited, latch.aborted || othersAsked.aborted ? latch : othersAsked);
      if (latch.aborted) return;
      const others = await this.#findOthers();
      if (others.length === 0) {
        if (!this.#isRunning) return;
        continue;
      }
      this.#askOthers(others);
      await this.#options.clock.sleep(pauseMs, { signal: latch }).catch(() => undefined);
    }
  }

  /** What the command left, those that only the store gives away among them. */
  async #findOthers(): Promise<readonly { readonly pid: number }[]> {
    const others = this.#others();
    if (others.length > 0 || this.#isRunning) return others;
    this.#child?.tree.adopt((await this.#keeper.findWriters()).map(({ pid }) => pid));
    return this.#others();
  }

  #askOthers(others: readonly { readonly pid: number }[]): void {
    const tree = this.#child?.tree;
    if (this.#request.killing.aborted) {
      tree?.signal('SIGKILL');
      return;
    }
    const unasked = others.filter(({ pid }) => !this.#asked.has(pid));
    for (const { pid } of unasked) this.#asked.add(pid);
    tree?.signal('SIGTERM', unasked);
  }

  /** One backup. It is the final one if nothing could write since before it began. */
  async #save(): Promise<State> {
    const { clock } = this.#options;
    const { deadlineMs, giveUp, over } = this.#request;
    const wasAnyLeft = this.#isAnyLeft;
    const before = await this.#keeper.findWriters();
    // SIGINT by `kill` looks as if it was typed, and some programs ignore it.
    if (this.#isRunning && this.#request.signal()?.name !== 'SIGTERM') this.#child?.signal('SIGTERM');
    const beganMs = clock.now();
    const stopped = this.#keeper
      .stop({
        reason: this.#isCrash ? 'command-exit' : 'shutdown',
        deadlineMs: deadlineMs(),
        signal: giveUp,
      })
      .catch(() => unsaved);
    const saved = (await first(stopped, over)) ?? unsaved;
    const notAll = { isSaved: false, unsavedSinceMs: saved.unsavedSinceMs ?? beganMs };
    if (wasAnyLeft) {
      await this.#untilAllGone(over);
      if (!giveUp.aborted) return { type: 'saving' };
      this.#writers = await this.#keeper.findWriters();
      return this.#done(notAll);
    }
    this.#writers = await this.#keeper.findWriters();
    if (this.#writers.length > 0) return this.#done(notAll);
    if (before.length === 0) return this.#done(saved);
    // Whoever had it open at the beginning is gone now.
    if (this.#wasRepeated || giveUp.aborted) return this.#done(notAll);
    this.#wasRepeated = true;
    return { type: 'saving' };
  }

  #done(saved: Saved): State {
    const writers = this.#writers;
    this.#options.emit({ type: 'stopped', ...saved, ...(writers.length === 0 ? {} : { writers }) });
    return {
      type: 'done',
      result: {
        ...saved,
        writers,
        exitCode: this.#exitCode(),
        ...(this.#failure === undefined ? {} : { failure: this.#failure }),
      },
    };
  }

  #exitCode(): number {
    if (this.#exit !== undefined) return exitCodeOfCommand(this.#exit);
    if (this.#failure !== undefined) return exitCodeOfStart(this.#failure);
    // Killed, and not yet gone.
    if (this.#child !== undefined) return exitCodeOfSignal('SIGKILL');
    return exitCodeOfSignal(this.#request.signal()?.name ?? null);
  }
}

/** How often we look whether processes that are not our children have ended. */
const firstPauseMs = 10;
const longestPauseMs = 200;

const nothingToSave: Saved = { isSaved: true, unsavedSinceMs: null };
const unsaved: Saved = { isSaved: false, unsavedSinceMs: null };

/** What the promise resolves to, or undefined if the latch closes first. */
async function first<T>(promise: Promise<T>, latch: AbortSignal): Promise<T | undefined> {
  if (latch.aborted) {
    promise.catch(() => undefined);
    return undefined;
  }
  let onAbort = (): void => undefined;
  const closed = new Promise<undefined>((resolve) => {
    onAbort = () => resolve(undefined);
    latch.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([promise, closed]);
  } finally {
    latch.removeEventListener('abort', onAbort);
  }
}
