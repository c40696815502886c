import { SyncAgentError, messageOf, throwIfAborted } from '../platform/errors.ts';
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
