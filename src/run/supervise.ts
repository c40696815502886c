import { eitherSignal, raceAbort } from '../platform/abort-signals.ts';
import type { Clock } from '../platform/clock.ts';
import { SyncAgentError } from '../platform/errors.ts';
import type { DaemonEvent } from '../platform/events.ts';
import { exitCodeOfCommand, exitCodeOfSignal, exitCodeOfStart } from './command-process.ts';
import type { RunningCommand } from './command-process.ts';
import { WholeCommand } from './whole-command.ts';
import type { Saved } from '../api/daemon-status.ts';
import { createRecovery } from './recovery.ts';
import type { Recovery } from './recovery.ts';
import type { SignalSource } from './process-signals.ts';
import type { Writer } from './find-writers.ts';
import type { StoreKeeper } from './store-keeper.ts';
import { listenForStop } from './stop-request.ts';
import type { StopRequest } from './stop-request.ts';

export interface SuperviseOptions {
  /** The time from the signal that asks to stop to the end of this call. */
  readonly shutdownBudgetMs: number;
  /** Whether to restore before the command starts. */
  readonly restore: boolean;
  readonly signals: SignalSource;
  readonly clock: Clock;
  readonly emit: (event: DaemonEvent) => void;
}

export interface CommandToRun {
  /** For events. The program's name without arguments, which may hold secrets. */
  readonly name: string;
  start(): Promise<RunningCommand>;
}

export interface Supervised extends Saved {
  /** The command's exit code. 128 + the signal's number if a signal ended it. 126 or 127 if it could not be started, as in a shell. */
  readonly exitCode: number;
  /** Why the command could not be started. */
  readonly failure?: SyncAgentError;
  /** Processes that have the store open for writing: other programs, or processes of the command that do not end. */
  readonly writers: readonly Writer[];
}

/**
 *   restoring ──restored──▶ running ──asked to stop, or exited──▶ stopping ──all gone, or the share is over──▶ saving ⟲ ──▶ done
 *       ├── asked to stop ──────────────────────────────────────────────────────────────────────────────────────▶ done
 *       │                             │ ▲
 *       │                     damaged ▼ │ restored, or given up
 *       │                          recovering
 *       └── cannot start the command ──────────────────────────────────────────────────────────────────────▲
 *
 * The store is recovered only if a check finds it damaged, the keeper may restore it, and no process but the command's has it open: that needs
 * the command to be stopped and started again. After a few rounds, or if a round fails, the command runs on.
 *
 * "All" means the command and every process that it started: a shell that is told to stop leaves its server behind. The
 * state `saving` is entered again if one of them, or another writer that is gone now, was alive at the beginning of the last
 * backup, because that backup may be incomplete. If the restore fails, `supervise` rejects: no command was started, and nothing
 * has to be saved.
 */
type State =
  | { readonly type: 'restoring' }
  | { readonly type: 'running' }
  | { readonly type: 'recovering' }
  | { readonly type: 'stopping' }
  | { readonly type: 'saving' }
  | { readonly type: 'done'; readonly result: Supervised };

/**
 * Restores, runs the command while `keeper` backs up its store, and makes a final backup. Rejects only if `restore` or `start`
 * rejects. Once the command has started, its exit code is the result, even if the final backup failed. It always resolves within
 * the budget. By then the command and all its processes have ended or were killed. If no signal asked to stop, the
 * budget begins when the command ends, and begins again with each progress of the final backup.
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
  /** Undefined until the command has started. */
  #whole: WholeCommand | undefined;
  #failure: SyncAgentError | undefined;
  /** The writers because of which the last backup may be incomplete. */
  #writers: readonly Writer[] = [];
  #wasRepeated = false;
  readonly #endProgress: () => void;
  readonly #recovery: Recovery | undefined;
  #isRecovering = false;

  constructor(keeper: StoreKeeper, command: CommandToRun, options: SuperviseOptions) {
    this.#keeper = keeper;
    this.#command = command;
    this.#options = options;
    this.#request = listenForStop({
      signals: options.signals,
      clock: options.clock,
      budgetMs: options.shutdownBudgetMs,
      forward: (name) => this.#whole?.signal(name),
    });
    const { requested, signal } = this.#request;
    requested.addEventListener('abort', () =>
      options.emit({ type: 'stopping', reason: signal()?.name ?? '' }),
    );
    this.#recovery = keeper.recovery && createRecovery(keeper, keeper.recovery, options);
    this.#endProgress = keeper.onProgress((isLocal) => this.#request.moved(isLocal));
  }

  release(): void {
    this.#endProgress();
    this.#recovery?.release();
    this.#request.release();
  }

  async next(state: Exclude<State, { readonly type: 'done' }>): Promise<State> {
    switch (state.type) {
      case 'restoring':
        return (await this.#isRestored()) ? this.#start() : this.#done(nothingToSave);
      case 'running':
        await this.#untilSomethingHappens();
        if (
          this.#recovery?.damage().aborted === true &&
          this.#whole?.isRunning === true &&
          !this.#request.requested.aborted
        )
          return { type: 'recovering' };
        if (this.#whole?.isRunning !== true) {
          this.#options.emit({ type: 'stopping', reason: 'command-exit' });
          this.#request.begin();
        }
        return { type: 'stopping' };
      case 'recovering':
        return this.#recover();
      case 'stopping':
        this.#askToStop();
        await this.#whole?.untilAllGone(this.#request.commandOver);
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
      if (this.#options.restore) await raceAbort(this.#keeper.restore({ signal: requested }), over);
    } catch (error) {
      if (!requested.aborted) throw error;
    }
    return !requested.aborted;
  }

  async #start(): Promise<State> {
    const request = this.#request;
    await raceAbort(this.#keeper.start(), request.over);
    return request.requested.aborted ? { type: 'saving' } : this.#startCommand();
  }

  async #startCommand(): Promise<State> {
    const request = this.#request;
    const { name } = this.#command;
    const { clock, emit } = this.#options;
    let child: RunningCommand;
    try {
      child = await this.#command.start();
    } catch (error) {
      this.#failure =
        error instanceof SyncAgentError
          ? error
          : new SyncAgentError('INTERNAL', `Cannot start "${name}"`, { cause: error });
      return { type: 'saving' };
    }
    emit({ type: 'command-started', pid: child.pid, command: name });
    this.#whole = new WholeCommand(child, {
      request,
      clock,
      findWriters: () => this.#keeper.findWriters(),
      onExit: (exit) => emit({ type: 'command-exited', ...exit, isExpected: !this.#isCrash }),
    });
    return { type: 'running' };
  }

  /** The command ends, somebody asks to stop, or the store is found damaged. */
  async #untilSomethingHappens(): Promise<void> {
    const { signal, release } = eitherSignal(this.#request.requested, this.#recovery?.damage());
    await raceAbort(this.#whole?.exited ?? Promise.resolve(), signal);
    release();
  }

  async #recover(): Promise<State> {
    const whole = this.#whole;
    if (whole === undefined || this.#recovery === undefined) return { type: 'running' };
    this.#isRecovering = true;
    await this.#recovery.round(whole, this.#request.requested);
    if (this.#request.requested.aborted) return { type: 'stopping' };
    this.#isRecovering = false;
    return whole.isRunning ? { type: 'running' } : this.#startCommand();
  }

  /** The command ended by itself, with a failure. */
  get #isCrash(): boolean {
    const exit = this.#whole?.exit;
    return (
      exit !== undefined && exit.exitCode !== 0 && !this.#isRecovering && !this.#request.requested.aborted
    );
  }

  #askToStop(): void {
    this.#whole?.remember();
    const signal = this.#request.signal();
    // Programs stop at once after a second Ctrl-C. A typed one has reached the command already, so it is not repeated.
    if (signal !== undefined && !signal.isTyped) this.#whole?.signal(signal.name);
  }

  /** Makes one backup. It is the final one if no process could write since before it began. */
  async #save(): Promise<State> {
    const { clock } = this.#options;
    const { deadlineMs, giveUp, over } = this.#request;
    const whole = this.#whole;
    const wasAnyLeft = whole?.isAnyLeft === true;
    const before = await this.#keeper.findWriters();
    // A SIGINT that `kill` sent looks like a typed one, and some programs ignore SIGINT.
    if (whole?.isRunning === true && this.#request.signal()?.name !== 'SIGTERM') whole.signal('SIGTERM');
    const beganMs = clock.now();
    const stopped = this.#keeper
      .stop({
        reason: this.#isCrash ? 'command-exit' : 'shutdown',
        deadlineMs: deadlineMs(),
        signal: giveUp,
      })
      .catch(() => unsaved);
    const saved = (await raceAbort(stopped, over)) ?? unsaved;
    const notAll = { isSaved: false, unsavedSinceMs: saved.unsavedSinceMs ?? beganMs };
    if (wasAnyLeft) {
      await whole.untilAllGone(over);
      if (!giveUp.aborted) return { type: 'saving' };
      this.#writers = await this.#keeper.findWriters();
      return this.#done(notAll);
    }
    this.#writers = await this.#keeper.findWriters();
    if (this.#writers.length > 0) return this.#done(notAll);
    if (before.length === 0) return this.#done(saved);
    // The writers of the beginning are gone now. One more backup has all that they wrote.
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
    const whole = this.#whole;
    if (whole?.exit !== undefined) return exitCodeOfCommand(whole.exit);
    if (this.#failure !== undefined) return exitCodeOfStart(this.#failure);
    // It was killed, and has not ended yet.
    if (whole !== undefined) return exitCodeOfSignal('SIGKILL');
    return exitCodeOfSignal(this.#request.signal()?.name ?? null);
  }
}

const nothingToSave: Saved = { isSaved: true, unsavedSinceMs: null };
const unsaved: Saved = { isSaved: false, unsavedSinceMs: null };
