/** Bodies up to this do not count. */
const smallBytes = 256 * 1024;

/**
 * Memory for bodies on their way to the server, shared by all uploads of a store: however many files go at once, there
 * are `limit` buffers of `bufferBytes`, made when first needed and used again. Garbage would be several times as much.
 */
export class S3Buffers {
  readonly #bufferBytes: number;
  readonly #free: Buffer[] = [];
  readonly #waiting: (() => void)[] = [];
  #left: number;

  constructor(bufferBytes: number, limit: number) {
    this.#bufferBytes = bufferBytes;
    this.#left = limit;
  }

  /** Runs `act` with a buffer of `size` bytes that is its own until it settles; waits for one as long as it takes. */
  async use<T>(size: number, act: (buffer: Buffer) => Promise<T>): Promise<T> {
    if (size <= smallBytes) return act(Buffer.allocUnsafe(size));
    while (this.#left === 0) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    }
    this.#left -= 1;
    const buffer =
      size > this.#bufferBytes
        ? Buffer.allocUnsafeSlow(size)
        : (this.#free.pop() ?? Buffer.allocUnsafeSlow(this.#bufferBytes));
    try {
      return await act(buffer.subarray(0, size));
    } finally {
      if (buffer.byteLength === this.#bufferBytes) this.#free.push(buffer);
      this.#left += 1;
      this.#waiting.shift()?.();
    }
  }
}

/** Reads a stream piece by piece into buffers of others. */
export class BufferFiller {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array();

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#chunks = source[Symbol.asyncIterator]();
  }

  /** Fills the buffer with the next bytes; rejects when the source does or when it ends before. One call at a time. */
  async fill(buffer: Buffer): Promise<void> {
    for (let position = 0; position < buffer.byteLength;) {
      if (this.#rest.byteLength === 0) {
        const next = await this.#chunks.next();
        if (next.done === true) throw new RangeError('the source ended early');
        this.#rest = next.value;
      }
      const piece = this.#rest.subarray(0, buffer.byteLength - position);
      buffer.set(piece, position);
      position += piece.byteLength;
      this.#rest = this.#rest.subarray(piece.byteLength);
    }
  }

  /** Reads on to the end, which must be here; a source that knows its length then says what is wrong with it. */
  async end(): Promise<void> {
    let next = await this.#chunks.next();
    while (next.done !== true && next.value.byteLength === 0) next = await this.#chunks.next();
    if (next.done !== true || this.#rest.byteLength > 0) throw new RangeError('the source goes on');
  }

  async close(): Promise<void> {
    await this.#chunks.return?.();
  }
}
