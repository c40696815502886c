import { isSyncAgentError, SyncAgentError, throwIfAborted } from '../../platform/errors.ts';
import type { ByteRange } from '../../remotes/remote.ts';
import type { FileRead, FormatContext } from '../content-format.ts';

export interface ObjectRead extends FileRead {
  /** The object that should hold the file. */
  readonly key: string;
}

export type SavedRead = ObjectRead & { readonly to: string };

/** Reads an object, or a range of it, chunk by chunk. SNAPSHOT_CORRUPT if it is missing or has another size. */
export async function fetchRange(
  context: FormatContext,
  { snapshot, file, key, onBytes }: ObjectRead,
  range: ByteRange | undefined,
  take: (chunk: Uint8Array, position: number) => Promise<void>,
): Promise<void> {
  const { remote, signal } = context;
  const { start, end } = range ?? { start: 0, end: file.size };
  let position = start;
  try {
    const { body, size } = await remote.get(key, { signal, ...(range === undefined ? {} : { range }) });
    if (size !== end - start) throw wrongSize(key, end - start, size);
    for await (const chunk of body) {
      throwIfAborted(signal, 'Restore');
      await take(chunk, position);
      position += chunk.byteLength;
      onBytes(chunk.byteLength);
    }
  } catch (error) {
    const present = isBeyondEnd(error) ? await remote.head(key, { signal }) : undefined;
    if (present !== undefined && present.size < end) throw wrongSize(key, file.size, present.size);
    if (!isSyncAgentError(error, 'NOT_FOUND') || isBucketMissing(error)) throw error;
    throw new SyncAgentError(
      'SNAPSHOT_CORRUPT',
      `Cannot restore snapshot ${snapshot.id}: object "${key}" is missing`,
      { cause: error },
    );
  }
  if (position !== end) throw wrongSize(key, end - start, position - start);
}

function wrongSize(key: string, expected: number, found: number): SyncAgentError {
  return new SyncAgentError(
    'SNAPSHOT_CORRUPT',
    `Cannot restore "${key}": expected ${expected} bytes, found ${found}`,
  );
}

/** So a remote answers when a range begins after the end of an object, and for other reasons that no retry mends. */
const isBeyondEnd = (error: unknown): boolean =>
  isSyncAgentError(error, 'REMOTE_UNREACHABLE') && !error.retryable;

const isBucketMissing = (error: SyncAgentError): boolean =>
  error.cause instanceof Error && error.cause.name === 'NoSuchBucket';
