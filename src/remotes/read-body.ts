import { createHash } from 'node:crypto';
import { SyncAgentError, messageOf, throwIfAborted } from '../platform/errors.ts';
import type { PartMemory } from './part-memory.ts';
import type { Body } from './remote.ts';

/**
 * The whole body, for an implementation of `put`. Fails with INTERNAL if the source does or if it is not `size` bytes
 * long, with INTERRUPTED once the signal is aborted; `action` starts the message.
 */
export async function* readBody(
  body: Body,
  options: { readonly action: string; readonly signal?: AbortSignal | undefined },
): AsyncGenerator<Uint8Array> {
  const { action, signal } = options;
  let position = 0;
  const chunks = body.open()[Symbol.asyncIterator]();
  try {
    for (;;) {
      throwIfAborted(signal, action);
      const next = await chunks.next().catch((cause: unknown) => {
        if (cause instanceof SyncAgentError) throw cause;
        throw new SyncAgentError(
          'INTERNAL',
          `Cannot ${action}: reading the source failed: ${messageOf(cause)}`,
          { cause },
        );
      });
      if (next.done === true) break;
      position += next.value.byteLength;
      if (position > body.size) break;
      yield next.value;
    }
    if (position !== body.size) {
      const relation = position > body.size ? 'more than' : 'only';
      const found = position > body.size ? body.size : position;
      throw new SyncAgentError(
        'INTERNAL',
        `Cannot ${action}: the source has ${relation} ${found} bytes, expected ${body.size}`,
      );
    }
  } finally {
    await chunks.return?.();
  }
}

export interface Part {
  readonly number: number;
  readonly bytes: Buffer<ArrayBuffer>;
  /** Lower-case hexadecimal. */
  readonly sha256: string;
}

/**
 * The same in parts of `partBytes`, the last one shorter, numbered from 1. A part is in memory from `memory`, which has it
 * until the caller gives it back. A body without bytes is one part without bytes.
 */
export async function* readParts(
  body: Body,
  partBytes: number,
  options: {
    readonly action: string;
    readonly signal?: AbortSignal | undefined;
    readonly memory: PartMemory;
  },
): AsyncGenerator<Part, undefined> {
  let position = 0;
  const nextBytes = (): Buffer<ArrayBuffer> => options.memory.take(Math.min(partBytes, body.size - position));
  let number = 1;
  let bytes = nextBytes();
  let hash = createHash('sha256');
  let filled = 0;
  for await (const chunk of readBody(body, options)) {
    for (let taken = 0; taken < chunk.byteLength;) {
      if (filled === bytes.byteLength) {
        yield { number, bytes, sha256: hash.digest('hex') };
        number += 1;
        bytes = nextBytes();
        hash = createHash('sha256');
        filled = 0;
      }
      const piece = chunk.subarray(taken, taken + bytes.byteLength - filled);
      bytes.set(piece, filled);
      // While the chunk is in the processor's cache.
      hash.update(piece);
      taken += piece.byteLength;
      filled += piece.byteLength;
      position += piece.byteLength;
    }
  }
  yield { number, bytes, sha256: hash.digest('hex') };
  return undefined;
}
