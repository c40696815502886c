/** Items for a reader that may be slower than who adds them. */
export class Backlog<T> implements AsyncIterable<T> {
  readonly #items: T[] = [];
  #taken = 0;
  #hasEnded = false;
  #wake: (() => void) | undefined;

  add(item: T): void {
    this.#items.push(item);
    this.#wake?.();
  }

  end(): void {
    this.#hasEnded = true;
    this.#wake?.();
  }

  /** What nobody has taken yet. Takes it. */
  *rest(): Generator<T> {
    while (this.#taken < this.#items.length) yield this.#take();
  }

  /** Until `end` was called: what comes later is for `rest`. For one reader. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    while (!this.#hasEnded) {
      if (this.#taken < this.#items.length) yield this.#take();
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  #take(): T {
    const item = this.#items[this.#taken] as T;
    this.#taken += 1;
    return item;
  }
}
