import { finished } from 'node:stream';
import type { Readable } from 'node:stream';

/** Chunks as they come from the network are small. A write, and every wrapper around a body, costs the same for a large one. */
const blockBytes = 512 * 1024;

/**
 * The bytes of a stream in blocks of half a MiB. All blocks share one buffer, so a block is valid until the next is asked
 * for. When the stream fails, what came before the failure is a block, and the next call rejects. While nobody waits for a
 * block, the stream is paused.
 */
export class FilledBlocks {
  readonly #stream: Readable;
  readonly #block: Buffer;
  #filled = 0;
  /** Of a chunk that did not fit into the block. */
  #rest: Uint8Array | undefined;
  #end: { readonly error: Error | undefined } | undefined;
  #wake: (() => void) | undefined;

  /** `size`: of the whole body. `onBytes` is called as bytes arrive. */
  constructor(stream: Readable, { size, onBytes }: { size: number; onBytes: (count: number) => void }) {
    this.#stream = stream;
    this.#block = Buffer.allocUnsafeSlow(Math.max(1, Math.min(size, blockBytes)));
    finished(stream, { writable: false }, (error) => {
      this.#end = { error: error ?? undefined };
      this.#wake?.();
    });
    stream.pause();
    stream.on('data', (chunk: Uint8Array) => {
      onBytes(chunk.byteLength);
      this.#take(chunk);
      if (this.#filled < this.#block.byteLength) return;
      stream.pause();
      this.#wake?.();
    });
  }

  /** Undefined after the last block. */
  async next(): Promise<Uint8Array | undefined> {
    this.#filled = 0;
    const { length } = this.#block;
    if (this.#rest !== undefined) this.#take(this.#rest);
    if (this.#filled < length && this.#end === undefined) {
      this.#stream.resume();
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    if (this.#filled > 0) return this.#block.subarray(0, this.#filled);
    if (this.#end?.error !== undefined) throw this.#end.error;
    return undefined;
  }

  #take(chunk: Uint8Array): void {
    const taken = chunk.subarray(0, this.#block.byteLength - this.#filled);
    this.#block.set(taken, this.#filled);
    this.#filled += taken.byteLength;
    this.#rest = taken.byteLength < chunk.byteLength ? chunk.subarray(taken.byteLength) : undefined;
  }
}
