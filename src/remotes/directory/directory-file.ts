import type { BigIntStats } from 'node:fs';
import { SyncAgentError, errnoOf, fromFileSystem, messageOf, throwIfAborted } from '../../platform/errors.ts';
import type { FileSystem } from '../../platform/file-system.ts';
import { openForRead } from '../../platform/quick/readable-file.ts';
import type { ReadableFile } from '../../platform/quick/readable-file.ts';
import type { Body, PutOptions } from '../remote.ts';
import { readBody } from '../read-body.ts';

const chunkBytes = 256 * 1024;
/** Errors of network file systems that may pass. */
const passing = [
  'EIO',
  'ESTALE',
  'ETIMEDOUT',
  'EHOSTDOWN',
  'EHOSTUNREACH',
  'ENOTCONN',
  'EBUSY',
  'EMFILE',
  'ENFILE',
];

/** Writes a new file, and syncs it unless that comes later. */
export async function writeObject(
  fs: FileSystem,
  path: string,
  {
    body,
    action,
    durableLater,
    signal,
    onBytes,
  }: Pick<PutOptions, 'durableLater' | 'signal' | 'onBytes'> & {
    readonly body: Body;
    readonly action: string;
  },
): Promise<void> {
  const file = await fs.openForWrite(path, { exclusive: true });
  try {
    let position = 0;
    for await (const chunk of readBody(body, { action, signal })) {
      await file.write(chunk, position);
      position += chunk.byteLength;
      onBytes?.(chunk.byteLength);
    }
    if (durableLater === undefined) await file.sync();
  } finally {
    await file.close();
  }
}

/**
 * Whether the file can become an object as it is: on the device of the root, private to this user, and known by no other name, so that nobody else
 * writes to it. A file of another size is left to `writeObject`, which says what is wrong.
 */
export function isAdoptable(
  stats: BigIntStats | undefined,
  { size, device }: { readonly size: number; readonly device: bigint | undefined },
): boolean {
  return (
    stats?.isFile() === true &&
    stats.dev === device &&
    stats.size === BigInt(size) &&
    stats.nlink === 1n &&
    (stats.mode & 0o7777n) === 0o600n &&
    stats.uid === BigInt(process.geteuid?.() ?? -1)
  );
}

/** Opens an object's file. ELOOP if it is a symbolic link. */
export async function openObject(path: string): Promise<ReadableFile> {
  return openForRead(path, { noFollow: true });
}

/** Bytes `start` to before `end` of an open file, which it closes. */
export async function* readObject(
  file: ReadableFile,
  {
    start,
    end,
    action,
    signal,
  }: {
    readonly start: number;
    readonly end: number;
    readonly action: string;
    readonly signal: AbortSignal | undefined;
  },
): AsyncGenerator<Uint8Array> {
  try {
    for (let position = start; position < end;) {
      throwIfAborted(signal, action);
      const buffer = Buffer.allocUnsafe(Math.min(chunkBytes, end - position));
      const bytesRead = await file.read(buffer, position);
      if (bytesRead === 0) throw new Error(`it ended at byte ${position} of ${end}`);
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } catch (error) {
    throw describeFailure(error, action);
  } finally {
    await file.close();
  }
}

/** Differs from that of the file that is published under the same key next. */
export function versionOf(stats: BigIntStats): string {
  return `${stats.ino}-${stats.size}-${stats.mtimeNs}`;
}

export function missing(action: string): SyncAgentError {
  return new SyncAgentError('NOT_FOUND', `Cannot ${action}: it does not exist`);
}

/** An error of the file system, as the caller of a remote gets it. */
export function describeFailure(error: unknown, action: string): unknown {
  if (error instanceof SyncAgentError || error instanceof RangeError) return error;
  const code = errnoOf(error) ?? '';
  const message = `Cannot ${action}: ${messageOf(error)}`;
  if (passing.includes(code))
    return new SyncAgentError('REMOTE_UNREACHABLE', message, { cause: error, retryable: true });
  if (['EISDIR', 'ENOTDIR', 'ELOOP', 'ENOTEMPTY', 'EEXIST'].includes(code)) {
    return new SyncAgentError('REFUSED', message, {
      cause: error,
      remedy:
        'A directory remote cannot hold an object and others below its name, nor links; move what is in the way',
    });
  }
  const failure = fromFileSystem(error, `Cannot ${action}`);
  const { code: reason, message: text } = failure;
  return reason === 'DENIED' ? new SyncAgentError(reason, text, { cause: error, outOfReach: true }) : failure;
}
