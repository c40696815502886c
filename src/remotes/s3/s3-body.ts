import type { Readable } from 'node:stream';
import { SyncAgentError } from '../../platform/errors.ts';
import { Stretch, inWords, remedyForSilence } from '../wrappers/deadline.ts';
import { fromS3, type S3CallContext } from './errors/s3-errors.ts';
import { FilledBlocks } from './filled-blocks.ts';

export interface S3BodyOptions extends S3CallContext {
  /** Content-Length. */
  readonly size: number;
  /** For each stretch of bytes, while the reader waits for them. */
  readonly stallTimeoutMs: number;
}

/**
 * The bytes of a response, in large chunks, each valid until the next is asked for. Fails, retryable, when they come too
 * slowly while the reader waits, silence included, and when they end before `size` or go on after it; what came before is
 * delivered first. Leaving early closes the connection.
 */
export async function* s3Body(stream: Readable, options: S3BodyOptions): AsyncGenerator<Uint8Array> {
  const { action, signal, size, stallTimeoutMs } = options;
  const broken = (why: string): SyncAgentError =>
    new SyncAgentError('REMOTE_UNREACHABLE', `Cannot ${action}: ${why}`, {
      retryable: true,
      remedy: remedyForSilence,
    });
  let position = 0;
  let slowness: string | undefined;
  const onAbort = (): void => {
    stream.destroy(new Error('aborted'));
  };
  const stretch = new Stretch(stallTimeoutMs, (moved) => {
    slowness = `${moved === 0 ? 'no byte' : `only ${moved} bytes`} came for ${inWords(stallTimeoutMs)}`;
    stream.destroy(new Error(slowness));
  });
  if (signal?.aborted === true) onAbort();
  signal?.addEventListener('abort', onAbort, { once: true });
  let received = 0;
  const onBytes = (count: number): void => {
    received += count;
    stretch.moved(count);
  };
  const blocks = new FilledBlocks(stream, { size, onBytes });
  try {
    for (;;) {
      stretch.start();
      const block = await blocks.next().finally(() => stretch.stop());
      if (signal?.aborted === true) throw new Error('aborted');
      if (block === undefined) break;
      if (received > size) throw broken(`the answer is longer than its ${size} bytes`);
      position += block.byteLength;
      yield block;
    }
    if (position < size) throw broken(`the answer ended at byte ${position} of ${size}`);
  } catch (error) {
    if (slowness !== undefined) throw broken(`${slowness}, at byte ${position} of ${size}`);
    throw fromS3(error, options);
  } finally {
    stretch.stop();
    signal?.removeEventListener('abort', onAbort);
    stream.destroy();
  }
}
