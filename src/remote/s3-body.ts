import type { Readable } from 'node:stream';
import { SyncAgentError } from '../errors.ts';
import { deadlineMs } from './deadline.ts';
import { fromS3, type S3CallContext } from './s3-errors.ts';

export interface S3BodyOptions extends S3CallContext {
  /** Content-Length. */
  readonly size: number;
  readonly stallTimeoutMs: number;
}

/**
 * The bytes of a response. Fails, retryable, when none came for `stallTimeoutMs` while the reader waited, when they are
 * not complete within their deadline, and when they end before `size` or go on after it. Leaving early closes the connection.
 */
export async function* s3Body(stream: Readable, options: S3BodyOptions): AsyncGenerator<Uint8Array> {
  const { action, signal, size, stallTimeoutMs } = options;
  const wholeMs = deadlineMs(stallTimeoutMs, size);
  const broken = (why: string): SyncAgentError =>
    new SyncAgentError('REMOTE_UNREACHABLE', `Cannot ${action}: ${why}`, { retryable: true });
  let position = 0;
  let slowness: string | undefined;
  const onAbort = (): void => {
    stream.destroy(new Error('aborted'));
  };
  const giveUp = (why: string): void => {
    slowness ??= why;
    stream.destroy(new Error(why));
  };
  const deadline = setTimeout(giveUp, wholeMs, `it is not complete after ${wholeMs} ms`);
  if (signal?.aborted === true) onAbort();
  signal?.addEventListener('abort', onAbort, { once: true });
  const chunks = (stream as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
  try {
    for (;;) {
      const timer = setTimeout(giveUp, stallTimeoutMs, `no byte came for ${stallTimeoutMs} ms`);
      const next = await chunks.next().finally(() => {
        clearTimeout(timer);
      });
      if (next.done === true) break;
      if (position + next.value.byteLength > size)
        throw broken(`the answer is longer than its ${size} bytes`);
      position += next.value.byteLength;
      yield next.value;
    }
    if (position < size) throw broken(`the answer ended at byte ${position} of ${size}`);
  } catch (error) {
    if (slowness !== undefined) throw broken(`${slowness}, at byte ${position} of ${size}`);
    throw fromS3(error, options);
  } finally {
    clearTimeout(deadline);
    signal?.removeEventListener('abort', onAbort);
    stream.destroy();
  }
}
