import { createHash } from 'node:crypto';
import { concurrently } from '../../platform/concurrently.ts';
import { isSyncAgentError, SyncAgentError, throwIfAborted } from '../../platform/errors.ts';
import type { WritableFile } from '../../platform/file-system.ts';
import { readFileRange } from '../../remotes/body.ts';
import type { ByteRange } from '../../remotes/remote.ts';
import type { FileRead, FormatContext } from '../content-format.ts';

/** Larger files come in ranges of this size, several at a time. */
const rangeBytes = 16 * 1024 * 1024;

export interface ObjectRead extends FileRead {
  /** The object that should hold the file. */
  readonly key: string;
}

type SavedRead = ObjectRead & { readonly to: string };

/** Writes an object to a new file; resolves to the SHA-256 of its bytes. */
export async function fetchFile(context: FormatContext, read: SavedRead): Promise<string> {
  const target = await context.fs.openForWrite(read.to, { exclusive: true });
  try {
    return read.file.size <= rangeBytes
      ? await fetchSmall(context, read, target)
      : await fetchLarge(context, read, target);
  } finally {
    await target.close();
  }
}

async function fetchSmall(context: FormatContext, read: SavedRead, target: WritableFile): Promise<string> {
  const hash = createHash('sha256');
  await fetchRange(context, read, undefined, async (chunk, position) => {
    hash.update(chunk);
    await target.write(chunk, position);
  });
  return hash.digest('hex');
}

async function fetchLarge(context: FormatContext, read: SavedRead, target: WritableFile): Promise<string> {
  const { size } = read.file;
  const ranges = Array.from({ length: Math.ceil(size / rangeBytes) }, (_, index) => ({
    start: index * rangeBytes,
    end: Math.min((index + 1) * rangeBytes, size),
  }));
  const hash = createHash('sha256');
  const arrived = new Set<number>();
  let next = 0;
  let hashing = Promise.resolve();
  // Hashes from the page cache what has arrived without a gap, while later ranges are on their way.
  const hashOn = async (signal: AbortSignal): Promise<void> => {
    for (; arrived.has(next); next += 1) {
      const range = ranges[next];
      throwIfAborted(signal, 'Restore');
      if (range !== undefined) for await (const chunk of readFileRange(read.to, range)) hash.update(chunk);
    }
  };
  await concurrently(
    ranges,
    { concurrency: context.settings.concurrency, signal: context.signal },
    async (range, signal, index) => {
      await fetchRange({ ...context, signal }, read, range, (chunk, position) =>
        target.write(chunk, position),
      );
      arrived.add(index);
      hashing = hashing.then(() => hashOn(signal));
      await hashing;
    },
  );
  return hash.digest('hex');
}

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
