import { raceAbort } from '../platform/abort-signals.ts';
import type { Clock } from '../platform/clock.ts';
import type { CommandExit, RunningCommand } from './command-process.ts';
import type { Writer } from './find-writers.ts';
import type { StopRequest } from './stop-request.ts';

export interface WholeCommandOptions {
  readonly request: StopRequest;
  readonly clock: Clock;
  readonly findWriters: () => Promise<readonly Writer[]>;
  readonly onExit: (exit: CommandExit) => void;
}

/** The pause between two looks whether processes that are not our children have ended. */
const firstPauseMs = 10;
const longestPauseMs = 200;
/** How long a killed process may take to be gone. */
const killedMs = 2000;

/** A command with all processes that it started: who lives, who is asked to end, who is killed. */
export class WholeCommand {
  /** Resolves when the command itself has ended. */
  readonly exited: Promise<void>;
  readonly #command: RunningCommand;
  readonly #options: WholeCommandOptions;
  readonly #asked = new Set<number>();
  #exit: CommandExit | undefined;

  constructor(command: RunningCommand, options: WholeCommandOptions) {
    this.#command = command;
    this.#options = options;
    const { killing } = options.request;
    killing.addEventListener('abort', () => this.#kill(), { once: true });
    if (killing.aborted) this.#kill();
    this.exited = this.#watch();
  }

  /** How the command itself ended. */
  get exit(): CommandExit | undefined {
    return this.#exit;
  }

  get isRunning(): boolean {
    return this.#exit === undefined;
  }

  /** The command or a process that it started. */
  get isAnyLeft(): boolean {
    return this.isRunning || this.#others().length > 0;
  }

  /** To the command itself. */
  signal(name: NodeJS.Signals): void {
    this.#command.signal(name);
  }

  /** Which process is whose child is known only while the parent lives. */
  remember(): void {
    this.#others();
  }

  /** Ends the processes that the command leaves behind or does not end in time, until none is left or `latch` aborts. */
  async untilAllGone(latch: AbortSignal): Promise<void> {
    const { othersAsked } = this.#options.request;
    for (let pauseMs = firstPauseMs; !latch.aborted; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      if (this.isRunning)
        await raceAbort(this.exited, latch.aborted || othersAsked.aborted ? latch : othersAsked);
      if (latch.aborted) return;
      const others = await this.#findOthers();
      if (others.length === 0) {
        if (!this.isRunning) return;
        continue;
      }
      this.#askOthers(others);
      await this.#options.clock.sleep(pauseMs, { signal: latch }).catch(() => undefined);
    }
  }

  /**
   * Ends the command and all that it started: by SIGTERM, by SIGKILL what is left after `patienceMs`. Resolves to whether none is left;
   * `latch` ends the wait.
   */
  async end(patienceMs: number, latch: AbortSignal): Promise<boolean> {
    const { clock } = this.#options;
    this.remember();
    this.signal('SIGTERM');
    const killAtMs = clock.monotonic() + patienceMs;
    let isKilled = false;
    for (let pauseMs = firstPauseMs; !latch.aborted; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      const others = await this.#findOthers();
      if (others.length === 0 && !this.isRunning) return true;
      const nowMs = clock.monotonic();
      if (isKilled && nowMs >= killAtMs + killedMs) return false;
      if (!isKilled && nowMs >= killAtMs) {
        isKilled = true;
        this.#kill();
      } else if (!this.isRunning) this.#askOthers(others);
      await clock.sleep(pauseMs, { signal: latch }).catch(() => undefined);
    }
    return false;
  }

  /** Whether a process is the command, or one that it started, as far as that can be seen. */
  owns(pid: number): boolean {
    return pid === this.#command.pid || this.#others().some((each) => each.pid === pid);
  }

  async #watch(): Promise<void> {
    const exit = await this.#command.exited;
    this.#exit = exit;
    this.#options.onExit(exit);
  }

  #others(): readonly { readonly pid: number }[] {
    return this.#command.tree.living();
  }

  /** The processes that the command left behind. Includes those that only their open store reveals. */
  async #findOthers(): Promise<readonly { readonly pid: number }[]> {
    const others = this.#others();
    if (others.length > 0 || this.isRunning) return others;
    this.#command.tree.adopt((await this.#options.findWriters()).map(({ pid }) => pid));
    return this.#others();
  }

  #askOthers(others: readonly { readonly pid: number }[]): void {
    const { tree } = this.#command;
    if (this.#options.request.killing.aborted) {
      tree.signal('SIGKILL');
      return;
    }
    const unasked = others.filter(({ pid }) => !this.#asked.has(pid));
    for (const { pid } of unasked) this.#asked.add(pid);
    tree.signal('SIGTERM', unasked);
  }

  #kill(): void {
    // A shell whose child ends first would go on with its next line.
    const others = this.#others();
    this.#command.signal('SIGKILL');
    this.#command.tree.signal('SIGKILL', others);
  }
}
