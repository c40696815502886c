import type { CompletedPart } from '@aws-sdk/client-s3';
import type { LimitFunction } from 'p-limit';
import { concurrently } from '../../platform/concurrently.ts';
import { SyncAgentError } from '../../platform/errors.ts';
import { readParts } from '../read-body.ts';
import type { PartMemory } from '../part-memory.ts';
import type { Body } from '../remote.ts';
import { fromS3, type S3CallContext } from './errors/s3-errors.ts';
import { MultipartUpload } from './multipart-upload.ts';
import type { MultipartOptions, MultipartTarget } from './multipart-upload.ts';

const maximumParts = 10_000;
const minimumPartBytes = 5 * 1024 * 1024;

export interface UploadSource {
  readonly body: Body;
  readonly partSizeBytes: number;
  /** Each part takes a turn, from its first byte in memory to its answer: this bounds memory. */
  readonly turns: LimitFunction;
  readonly memory: PartMemory;
}

/**
 * Uploads a body of more than one part; resolves to the output of the last request. The error that comes out is not
 * `retryable` again, since each request was retried. On failure the upload is aborted before this rejects; a crash leaves
 * an unfinished upload for `sweepUploads`.
 */
export async function uploadInParts(
  target: MultipartTarget,
  { body, partSizeBytes, turns, memory }: UploadSource,
  options: MultipartOptions,
): Promise<object> {
  const { size } = body;
  const upload = new MultipartUpload(target, size, options);
  return carryOut(upload, options, async (done) => {
    const partBytes = Math.max(minimumPartBytes, partSizeBytes, Math.ceil(size / maximumParts));
    const parts = readParts(body, partBytes, { ...options, memory });
    const sendNext = async (): Promise<boolean> => {
      const { value: part } = await parts.next();
      if (part === undefined) return false;
      const { number, bytes, sha256 } = part;
      done.push(await upload.sendPart(number, { bytes, sha256, md5: options.md5 }));
      // After a failure a request may still hold it.
      memory.give(bytes);
      options.onBytes?.(bytes.byteLength);
      return true;
    };
    const senders = Array.from({ length: options.concurrency });
    try {
      await concurrently(senders, options, async (_, signal) => {
        while (!signal.aborted && (await turns(sendNext)));
      });
    } finally {
      await parts.return(undefined);
    }
  });
}

export interface CopySource {
  /** URL-encoded `bucket/key`. */
  readonly source: string;
  readonly etag: string;
  readonly size: number;
  readonly partBytes: number;
}

/** Copies an object that is too big for CopyObject, as one version; promises what `uploadInParts` does. */
export async function copyInParts(
  target: MultipartTarget,
  { source, etag, size, partBytes: wantedBytes }: CopySource,
  options: MultipartOptions,
): Promise<void> {
  const upload = new MultipartUpload(target, size, options);
  await carryOut(upload, { ...options, announcesChecksums: false }, async (done) => {
    const partBytes = Math.max(wantedBytes, Math.ceil(size / maximumParts));
    const numbers = Array.from({ length: Math.ceil(size / partBytes) }, (_, index) => index + 1);
    await concurrently(numbers, { concurrency: options.concurrency }, async (number) => {
      const start = (number - 1) * partBytes;
      const end = Math.min(size, start + partBytes) - 1;
      const range = `bytes=${start}-${end}`;
      const part = { CopySource: source, CopySourceIfMatch: etag, CopySourceRange: range };
      done.push(await upload.copyPart(number, part));
    });
  });
}

/** Begins the upload, completes it with the parts that `act` adds in any order, or aborts it. */
async function carryOut(
  upload: MultipartUpload,
  options: MultipartOptions,
  act: (done: CompletedPart[]) => Promise<void>,
): Promise<object> {
  try {
    await upload.create(options.announcesChecksums ? { ChecksumAlgorithm: 'CRC32' } : {});
    const done: CompletedPart[] = [];
    try {
      await act(done);
      return await upload.complete(done);
    } catch (error) {
      await upload.abort();
      throw error;
    }
  } catch (error) {
    throw final(error, options);
  } finally {
    upload.release();
  }
}

/** The parts were retried already: only an upload that vanished is worth starting all over. */
function final(error: unknown, context: S3CallContext): SyncAgentError {
  const mapped = fromS3(error, context);
  if (mapped.code === 'ALREADY_EXISTS') {
    const message = `Cannot ${context.action}: the source was replaced meanwhile`;
    return new SyncAgentError('REMOTE_UNREACHABLE', message, { cause: mapped.cause, retryable: true });
  }
  const vanished = mapped.cause instanceof Error && mapped.cause.name === 'NoSuchUpload';
  if (mapped.retryable === vanished) return mapped;
  const { cause, remedy, outOfReach } = mapped;
  return new SyncAgentError(mapped.code, mapped.message, {
    cause,
    retryable: vanished,
    outOfReach,
    ...(remedy === undefined ? {} : { remedy }),
  });
}
