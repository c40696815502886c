import type { Doorbell } from './doorbell.ts';

/** After so long without a write, events tell of the next one. Milliseconds. */
const quietMs = 500;

/**
 * Whether a store is looked at again and again, or when an event tells of a change. While it is written without a pause, each write comes
 * with a dozen events that say nothing new, so that it is not watched. Where no events come, it is always looked at.
 */
export class LookPace {
  readonly #bell: Doorbell;
  readonly #store: string;
  /** How many events had come when the store was last looked at. */
  #heard = 0;
  /** Something was written, and no event told. If that only comes late, the next look knows better. */
  #isDeaf = false;
  #busyUntilMs: number | undefined;

  constructor(bell: Doorbell, store: string) {
    this.#bell = bell;
    this.#store = store;
    bell.watch(store);
  }

  get isPolling(): boolean {
    return this.#isDeaf || this.#busyUntilMs !== undefined;
  }

  /** `nowMs`: of a clock that never jumps. */
  looked(hasFound: boolean, nowMs: number): void {
    if (this.#busyUntilMs !== undefined) {
      if (hasFound) this.#busyUntilMs = nowMs + quietMs;
      else if (nowMs >= this.#busyUntilMs) this.#watchAgain();
      return;
    }
    const heard = this.#bell.changesIn(this.#store);
    const hasHeard = heard !== this.#heard;
    this.#heard = heard;
    this.#isDeaf = !hasHeard && (this.#isDeaf || hasFound);
    if (!hasFound || !hasHeard) return;
    this.#bell.unwatch(this.#store);
    this.#busyUntilMs = nowMs + quietMs;
  }

  #watchAgain(): void {
    this.#busyUntilMs = undefined;
    this.#bell.watch(this.#store);
    // What came before that is found by a look at once.
    this.#bell.ring();
  }
}
