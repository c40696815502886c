/**
 * Memory for parts, used again and again: fresh buffers of this size cost page faults and garbage collections, which were a
 * tenth of an upload's CPU, and pile up.
 */
export class PartMemory {
  readonly #largest: number;
  readonly #free: ArrayBuffer[] = [];

  /** `largest`: bytes. Only parts of this size are kept. */
  constructor(largest: number) {
    this.#largest = largest;
  }

  take(size: number): Buffer<ArrayBuffer> {
    const isKept = size <= this.#largest && size > this.#largest / 2;
    const memory = isKept ? (this.#free.pop() ?? new ArrayBuffer(this.#largest)) : new ArrayBuffer(size);
    return Buffer.from(memory, 0, size);
  }

  /** Nobody may use the bytes any more: no request that was aborted, either. */
  give({ buffer }: Buffer<ArrayBuffer>): void {
    if (buffer.byteLength === this.#largest) this.#free.push(buffer);
  }
}
