import type { Clock } from '../../../platform/clock.ts';
import { storeIdentity } from '../../../stores/content/fingerprint.ts';

/** Another store is in the place of the one that was followed. */
export class StoreReplaced extends Error {}

/** How often to look, milliseconds. */
const everyMs = 500;

/** Sees that somebody has put another store in the place of one that is open: who reads on would read the old one. */
export class SameStore {
  readonly #store: string;
  readonly #clock: Pick<Clock, 'monotonic'>;
  #identity = '';
  #nextMs = 0;

  constructor(store: string, clock: Pick<Clock, 'monotonic'>) {
    this.#store = store;
    this.#clock = clock;
  }

  async begin(): Promise<void> {
    this.#identity = await storeIdentity(this.#store);
  }

  get isDue(): boolean {
    return this.#clock.monotonic() >= this.#nextMs;
  }

  /** The next look is due. */
  expire(): void {
    this.#nextMs = 0;
  }

  /** Rejects with StoreReplaced. Looks only if that is due. */
  async assert(): Promise<void> {
    if (!this.isDue) return;
    if ((await storeIdentity(this.#store).catch(() => undefined)) !== this.#identity)
      throw new StoreReplaced();
    this.#nextMs = this.#clock.monotonic() + everyMs;
  }
}
