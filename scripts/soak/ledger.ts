import type { Checkpoint, Expectation } from '../../test/support/busy-writer.ts';
import type { Remote } from '../../src/remotes/remote.ts';
import { readLog } from '../../src/log/commit-log.ts';
import type { LogView } from '../../src/log/commit-log.ts';
import type { Figures } from './figures.ts';
import type { Life } from './life.ts';
import { logOf } from '../../test/support/log-of.ts';

/** One run of a command that may commit. */
export interface Attempt {
  readonly life: Life;
  readonly from: Checkpoint;
  /** When it had ended; undefined while it runs. */
  to: Checkpoint | undefined;
}

interface Known {
  readonly attempt: Attempt;
  /** By the server's clock, when it was last seen. */
  ageMs: number;
}

export interface LedgerOptions {
  /** Seen without a proxy: what the server holds. */
  readonly remote: Remote;
  readonly figures: Figures;
  readonly keep: number;
  readonly graceMs: number;
}

/** Remembers every snapshot that was ever seen, and finds fault with a log that breaks a promise. */
export class Ledger {
  readonly #options: LedgerOptions;
  readonly #known = new Map<string, Known>();
  readonly #generations = new Map<number, string>();
  #live: readonly string[] = [];
  #newestGeneration = 0;
  #observedAt = 0;
  #waiting: (() => void)[] = [];

  constructor(options: LedgerOptions) {
    this.#options = options;
  }

  /** Ascending, as last observed. */
  get live(): readonly string[] {
    return this.#live;
  }

  get newest(): string | undefined {
    return this.#live.at(-1);
  }

  /** To be called after each command that may change the remote. Resolves to the ids that it added. */
  async observe(attempt: Attempt): Promise<readonly string[]> {
    const { remote, figures } = this.#options;
    const view = await readLog(logOf(remote));
    for (const { key, error } of view.damaged) figures.find(`commit ${key} is damaged: ${error.message}`);
    this.#checkGenerations(view);
    this.#checkVanished(view);
    const added: string[] = [];
    for (const { entry, ageMs } of view.snapshots) {
      const known = this.#known.get(entry.id);
      if (known === undefined) {
        added.push(entry.id);
        this.#known.set(entry.id, { attempt, ageMs });
      } else known.ageMs = ageMs;
    }
    if (added.length > 1) figures.find(`one command made ${added.length} snapshots: ${added.join(', ')}`);
    this.#live = view.snapshots.map(({ entry }) => entry.id);
    this.#observedAt = view.serverTime.getTime();
    for (const wake of this.#waiting.splice(0)) wake();
    return added;
  }

  /** What a copy of a snapshot may hold. Waits for the observation of one that was just made. */
  async expect(id: string): Promise<{ readonly all: Expectation; readonly own: Expectation }> {
    const until = performance.now() + 120_000;
    while (!this.#known.has(id)) {
      if (performance.now() > until) throw new Error(`nobody is known to have made snapshot ${id}`);
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
        setTimeout(resolve, 1000);
      });
    }
    const { life, from, to } = (this.#known.get(id) as Known).attempt;
    return life.expectation(from, to);
  }

  /** Whether the remote names a snapshot now; a commit that drops it may not have been observed yet. */
  async isListed(id: string): Promise<boolean> {
    const { snapshots } = await readLog(logOf(this.#options.remote));
    return snapshots.some(({ entry }) => entry.id === id);
  }

  /** Whether a live snapshot is of that life. */
  needs(life: Life): boolean {
    return this.#live.some((id) => this.#known.get(id)?.attempt.life === life);
  }

  #checkGenerations({ head, snapshots }: LogView): void {
    const { figures } = this.#options;
    for (const { entry } of snapshots) {
      const before = this.#generations.get(entry.generation);
      if (before !== undefined && before !== entry.id) {
        figures.find(`generation ${entry.generation} was ${before} and is ${entry.id}`);
      }
      this.#generations.set(entry.generation, entry.id);
    }
    const generation = head?.generation ?? 0;
    if (generation < this.#newestGeneration) {
      figures.find(`the newest generation went back from ${this.#newestGeneration} to ${generation}`);
    }
    this.#newestGeneration = Math.max(generation, this.#newestGeneration);
  }

  /** Only rotation takes a snapshot away: one beyond the newest `keep` and older than the grace period. */
  #checkVanished({ snapshots, serverTime }: LogView): void {
    const { figures, keep, graceMs } = this.#options;
    const present = new Set(snapshots.map(({ entry }) => entry.id));
    for (const id of this.#live.filter((each) => !present.has(each))) {
      const { ageMs } = this.#known.get(id) as Known;
      const ageNow = ageMs + serverTime.getTime() - this.#observedAt;
      if (snapshots.length < keep || ageNow < graceMs) {
        figures.find(`snapshot ${id} is gone: at most ${ageNow} ms old, ${snapshots.length} are left`);
      }
      figures.count('snapshots', 'rotated away');
    }
  }
}
