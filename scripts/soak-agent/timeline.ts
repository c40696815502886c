import type { Checkpoint } from '../../test/support/busy-writer.ts';

/** A look at the writer's order of events: it was `checkpoint` at some moment between the two. */
interface Sample {
  readonly askedMs: number;
  readonly answeredMs: number;
  readonly checkpoint: Checkpoint;
}

/** Ties a writer's order of events to the wall clock, from looks at it that were taken all the time. */
export class Timeline {
  readonly #samples: Sample[] = [];

  add(sample: Sample): void {
    this.#samples.push(sample);
  }

  /** A checkpoint that was passed by then. */
  before(atMs: number): Checkpoint {
    return this.#samples.findLast(({ answeredMs }) => answeredMs < atMs)?.checkpoint ?? 0;
  }

  /** A checkpoint that was not reached by then; undefined when nobody looked since. */
  after(atMs: number): Checkpoint | undefined {
    const index = this.#samples.findLastIndex(({ askedMs }) => askedMs <= atMs);
    return this.#samples[index + 1]?.checkpoint;
  }

  /** Moments by which something new had been written, each a look's own. */
  writes(): readonly number[] {
    // A look itself takes a number.
    return this.#samples.flatMap(({ checkpoint, answeredMs }, index) => {
      const previous = this.#samples[index - 1];
      return previous !== undefined && checkpoint > previous.checkpoint + 1 ? [answeredMs] : [];
    });
  }

  /** When the first thing was written that was certainly written between the two; undefined when nothing was. */
  firstWrite(fromMs: number, toMs: number): number | undefined {
    const index = this.#samples.findIndex(({ askedMs }) => askedMs > fromMs);
    if (index < 0) return undefined;
    for (let at = index + 1; at < this.#samples.length; at += 1) {
      const [previous, sample] = [this.#samples[at - 1], this.#samples[at]];
      if (previous === undefined || sample === undefined || sample.answeredMs > toMs) return undefined;
      if (sample.checkpoint > previous.checkpoint + 1) return sample.answeredMs;
    }
    return undefined;
  }
}
