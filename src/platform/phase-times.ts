import type { Clock } from './clock.ts';
import type { Phase, PhaseTime } from './events.ts';

/** Measures how long the phases of one operation take. Several may be under way at once, and one may be entered again. */
export class PhaseTimes {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #times = new Map<Phase, { tookMs: number; waitedMs: number; bytes: number }>();
  /** How many times each was entered and not left. */
  readonly #underWay = new Map<Phase, number>();
  #since = 0;

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  /** Returns what leaves it again. */
  enter(phase: Phase): () => void {
    this.#count();
    this.#of(phase);
    this.#underWay.set(phase, (this.#underWay.get(phase) ?? 0) + 1);
    return () => {
      this.#count();
      const left = (this.#underWay.get(phase) ?? 0) - 1;
      if (left > 0) this.#underWay.set(phase, left);
      else this.#underWay.delete(phase);
    };
  }

  async measure<T>(phase: Phase, work: () => Promise<T>): Promise<T> {
    const leave = this.enter(phase);
    try {
      return await work();
    } finally {
      leave();
    }
  }

  moved(phase: Phase, bytes: number): void {
    this.#of(phase).bytes += bytes;
  }

  /** In the order in which they were first entered. */
  list(): readonly PhaseTime[] {
    this.#count();
    return [...this.#times].map(([phase, { tookMs, waitedMs, bytes }]) => ({
      phase,
      tookMs: Math.round(tookMs),
      waitedMs: Math.round(waitedMs),
      bytes,
    }));
  }

  #of(phase: Phase): { tookMs: number; waitedMs: number; bytes: number } {
    const known = this.#times.get(phase);
    if (known !== undefined) return known;
    const time = { tookMs: 0, waitedMs: 0, bytes: 0 };
    this.#times.set(phase, time);
    return time;
  }

  #count(): void {
    const now = this.#clock.monotonic();
    const elapsedMs = now - this.#since;
    this.#since = now;
    const phases = [...this.#underWay.keys()];
    for (const phase of phases) this.#of(phase).tookMs += elapsedMs;
    if (phases.length === 1 && phases[0] !== undefined) this.#of(phases[0]).waitedMs += elapsedMs;
  }
}
