import type { CompletedPart } from '@aws-sdk/client-s3';
import type { LimitFunction } from 'p-limit';
import { concurrently, type FirstAlone } from '../../platform/concurrently.ts';
import { SyncAgentError } from '../../platform/errors.ts';
import { readParts } from '../read-body.ts';
import type { Part } from '../read-body.ts';
import type { PartMemory } from '../part-memory.ts';
import type { Body, ByteRange, Parts } from '../remote.ts';
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
  /** To read and hash the first part of several bodies at once keeps the network waiting. */
  readonly firstAlone: FirstAlone;
  readonly memory: PartMemory;
  /** An object whose parts may be those of the body. `source`: URL-encoded `bucket/key`. */
  readonly base?: { readonly key: string; readonly source: string; readonly parts: Parts } | undefined;
}

export interface UploadedParts {
  /** Of the last request. */
  readonly output: object;
  readonly parts: Parts;
}

/**
 * Uploads a body of more than one part. The error that comes out is not `retryable` again, since each request was retried. On
 * failure the upload is aborted before this rejects; a crash leaves an unfinished upload for `sweepUploads`.
 */
export async function uploadInParts(
  target: MultipartTarget,
  { body, partSizeBytes, turns, firstAlone, memory, base }: UploadSource,
  options: MultipartOptions,
): Promise<UploadedParts> {
  const { size } = body;
  const upload = new MultipartUpload(target, size, options);
  const partBytes = partBytesOf(size, partSizeBytes);
  const old = base?.parts.bytes === partBytes ? base : undefined;
  // While the upload begins.
  const looked = old && upload.etagOf(old.key, old.parts);
  const hashes: string[] = [];
  const output = await carryOut(upload, options, async (done) => {
    const etag = await looked;
    let canCopy = etag !== undefined;
    let hasCopied = false;
    const parts = readParts(body, partBytes, { ...options, memory });
    const send = async ({ number, bytes, sha256 }: Part): Promise<void> => {
      done.push(await upload.sendPart(number, { bytes, sha256, md5: options.md5 }));
      // After a failure a request may still hold it.
      memory.give(bytes);
      options.onBytes?.(bytes.byteLength);
    };
    const copy = async (number: number, sha256: string): Promise<void> => {
      const range = { start: (number - 1) * partBytes, end: Math.min(size, number * partBytes) };
      const copied = await upload.tryToCopyPart(number, {
        CopySource: old?.source,
        CopySourceIfMatch: etag,
        CopySourceRange: `bytes=${range.start}-${range.end - 1}`,
      });
      if (copied !== undefined) {
        hasCopied = true;
        done.push(copied);
        options.onBytes?.(range.end - range.start, true);
        return;
      }
      // One failure among copies says nothing of the others. Nor does the first one, but it may be the server's way.
      canCopy &&= hasCopied;
      await turns(async () => send(await readAgain(body, { range, number, sha256 }, { ...options, memory })));
    };
    /** False at the end. What a server copies by itself takes neither memory nor a turn. */
    const next = async (): Promise<false | (() => Promise<void>)> => {
      const { value: part } = await firstAlone(() => parts.next());
      if (part === undefined) return false;
      const { number, sha256 } = part;
      hashes[number - 1] = sha256;
      if (!canCopy || old?.parts.sha256[number - 1] !== sha256) {
        await send(part);
        return async () => undefined;
      }
      memory.give(part.bytes);
      return () => copy(number, sha256);
    };
    // As many again as are sent, so that copies do not hold up what is sent.
    const workers = Array.from({ length: options.concurrency * (canCopy ? 2 : 1) });
    try {
      await concurrently(
        workers,
        { concurrency: workers.length, signal: options.signal },
        async (_, signal) => {
          while (!signal.aborted) {
            const rest = await turns(next);
            if (rest === false) return;
            await rest();
          }
        },
      );
    } finally {
      await parts.return(undefined);
    }
  });
  return { output, parts: { bytes: partBytes, sha256: hashes } };
}

/** A multiple of the usual size, so that an object that grows keeps its parts. */
export function partBytesOf(size: number, partSizeBytes: number): number {
  const usual = Math.max(minimumPartBytes, partSizeBytes);
  return usual * Math.max(1, Math.ceil(size / (usual * maximumParts)));
}

/** A part that was read before, as it was then. */
async function readAgain(
  body: Body,
  { range, number, sha256 }: { readonly range: ByteRange; readonly number: number; readonly sha256: string },
  options: S3CallContext & { readonly memory: PartMemory },
): Promise<Part> {
  const size = range.end - range.start;
  const piece: Body = { size, open: () => body.open(range) };
  const { value: part } = await readParts(piece, size, options).next();
  if (part?.sha256 === sha256) return { ...part, number };
  throw new SyncAgentError('INTERNAL', `Cannot ${options.action}: the source changed while it was read`);
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

/**
 * Begins the upload, completes it with the parts that `act` adds in any order, or aborts it. `act` is called at once: the first parts
 * are read while the server is asked.
 */
async function carryOut(
  upload: MultipartUpload,
  options: MultipartOptions,
  act: (done: CompletedPart[]) => Promise<void>,
): Promise<object> {
  try {
    // Whoever sends a part waits for it, and is told.
    upload.create(options.announcesChecksums ? { ChecksumAlgorithm: 'CRC32' } : {}).catch(() => undefined);
    const done: CompletedPart[] = [];
    try {
      await act(done);
      await options.after;
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
