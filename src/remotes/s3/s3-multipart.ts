import { createHash } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  UploadPartCommand,
  UploadPartCopyCommand,
  type CompletedPart,
  type CreateMultipartUploadCommandInput,
  type PutObjectCommandInput,
  type S3Client,
} from '@aws-sdk/client-s3';
import type { LimitFunction } from 'p-limit';
import { concurrently } from '../../platform/concurrently.ts';
import { eitherSignal, type EitherSignal } from '../../platform/abort-signals.ts';
import { SyncAgentError, isSyncAgentError } from '../../platform/errors.ts';
import { readParts } from '../read-body.ts';
import type { Body } from '../remote.ts';
import { withDeadline } from '../wrappers/deadline.ts';
import { patient, withRetry, type FailedAttempt, type RetryPolicy } from '../wrappers/retry.ts';
import { fromS3, type S3CallContext } from './errors/s3-errors.ts';
import { sha256Of, withPayloadHash, type Payload } from './payload-hash.ts';

const maximumParts = 10_000;
const minimumPartBytes = 5 * 1024 * 1024;
const hurriedAbortMs = 2000;

/** The object and what every request about it carries: storage class, encryption, content type. */
export type MultipartTarget = Omit<PutObjectCommandInput, 'Body' | 'Bucket' | 'Key'> & {
  readonly Bucket: string;
  readonly Key: string;
};

export interface MultipartOptions extends S3CallContext {
  readonly client: S3Client;
  readonly concurrency: number;
  readonly policy: RetryPolicy;
  readonly onRetry: (failure: FailedAttempt) => void;
  /** How long an answer may take, after a body of so many bytes, or without one. */
  readonly answerMs: (bytes?: number) => number;
  /** How long the server may work on so many bytes by itself. */
  readonly workMs: (bytes: number) => number;
  /** For each stretch of a part on its way. */
  readonly stretchMs: number;
  /** Whether the SDK sends a checksum of its own with each part, which the upload has to announce. */
  readonly announcesChecksums: boolean;
  readonly md5: Payload['md5'];
  readonly onBytes?: ((count: number) => void) | undefined;
}

export interface UploadSource {
  readonly body: Body;
  readonly partSizeBytes: number;
  /** Each part takes a turn, from its first byte in memory to its answer: this bounds memory. */
  readonly turns: LimitFunction;
}

/**
 * Uploads a body of more than one part; resolves to the output of the last request. Each request is retried by
 * itself, so that one lost part does not repeat the others, and the error that comes out is not `retryable` again.
 * On failure the upload is aborted before this rejects; a crash leaves an unfinished upload for `sweepUploads`.
 */
export async function uploadInParts(
  target: MultipartTarget,
  source: UploadSource,
  options: MultipartOptions,
): Promise<object> {
  const { body, turns } = source;
  const { size } = body;
  const { Bucket, Key } = target;
  const sender = new MultipartSender(target, options, size);
  const checksum = options.announcesChecksums ? { ChecksumAlgorithm: 'CRC32' as const } : {};
  try {
    await inOneUpload(sender, { ...target, ...checksum }, async (UploadId, done) => {
      const partBytes = Math.max(minimumPartBytes, source.partSizeBytes, Math.ceil(size / maximumParts));
      const parts = readParts(body, partBytes, options);
      const sendNext = async (): Promise<boolean> => {
        const { value: next } = await parts.next();
        if (next === undefined) return false;
        const { number: PartNumber, bytes } = next;
        const payload = { bytes, sha256: await sha256Of(bytes), md5: options.md5 };
        const part = { Bucket, Key, UploadId, PartNumber, Body: bytes };
        const output = await sender.send(withPayloadHash(new UploadPartCommand(part), payload));
        const { ChecksumCRC32 } = output;
        const own = ChecksumCRC32 === undefined ? {} : { ChecksumCRC32 };
        done.push({ PartNumber, ETag: sender.etagOf(output), ...own });
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
    return sender.completed;
  } catch (error) {
    throw final(error, options);
  } finally {
    sender.release();
  }
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
  copy: CopySource,
  options: MultipartOptions,
): Promise<void> {
  const { Bucket, Key } = target;
  const sender = new MultipartSender(target, options, copy.size);
  try {
    await inOneUpload(sender, target, async (UploadId, parts) => {
      const partBytes = Math.max(copy.partBytes, Math.ceil(copy.size / maximumParts));
      const numbers = Array.from({ length: Math.ceil(copy.size / partBytes) }, (_, index) => index + 1);
      await concurrently(numbers, { concurrency: options.concurrency }, async (PartNumber) => {
        const start = (PartNumber - 1) * partBytes;
        const end = Math.min(copy.size, start + partBytes) - 1;
        const command = new UploadPartCopyCommand({
          Bucket,
          Key,
          UploadId,
          PartNumber,
          CopySource: copy.source,
          CopySourceIfMatch: copy.etag,
          CopySourceRange: `bytes=${start}-${end}`,
        });
        const { CopyPartResult } = await sender.send(command);
        parts.push({ PartNumber, ETag: sender.etagOf(CopyPartResult) });
      });
    });
  } catch (error) {
    throw final(error, options);
  } finally {
    sender.release();
  }
}

/** Begins a multipart upload, completes it with the parts that `act` adds in any order, or aborts it. */
async function inOneUpload(
  sender: MultipartSender,
  target: CreateMultipartUploadCommandInput,
  act: (uploadId: string | undefined, parts: CompletedPart[]) => Promise<void>,
): Promise<void> {
  const { Bucket, Key } = target;
  const { UploadId } = await sender.send(new CreateMultipartUploadCommand(target));
  const parts: CompletedPart[] = [];
  try {
    await act(UploadId, parts);
    const Parts = parts.toSorted((a, b) => (a.PartNumber ?? 0) - (b.PartNumber ?? 0));
    await sender.send(
      new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts } }),
    );
  } catch (error) {
    await sender.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
    throw error;
  }
}

/** Sends the requests of one multipart upload, each with its own retry. One that fails ends the others. */
class MultipartSender {
  readonly #target: MultipartTarget;
  readonly #options: MultipartOptions;
  readonly #failure = new AbortController();
  readonly #either: EitherSignal;
  readonly #size: number;
  completed: object = {};

  constructor(target: MultipartTarget, options: MultipartOptions, size: number) {
    this.#size = size;
    this.#target = target;
    this.#options = options;
    this.#either = eitherSignal(this.#failure.signal, options.signal);
  }

  release(): void {
    this.#either.release();
  }

  readonly send: S3Client['send'] = (async (command: object): Promise<object> => {
    if (command instanceof AbortMultipartUploadCommand) return this.#abort(command);
    if (command instanceof CompleteMultipartUploadCommand) return this.#complete(command);
    const output = await this.#retry(command).catch((error: unknown) => {
      this.#failure.abort(error);
      throw error;
    });
    return output;
  }) as S3Client['send'];

  /** Parts are named by their ETags when the upload is completed. */
  etagOf(answer: { readonly ETag?: string | undefined } | undefined): string {
    if (answer?.ETag !== undefined) return answer.ETag;
    const message = `Cannot ${this.#options.action}: the answer has no ETag`;
    throw new SyncAgentError('REMOTE_UNREACHABLE', message, {
      remedy: 'Let proxies before the server pass on the header ETag',
    });
  }

  #retry(command: object, seen?: (error: SyncAgentError) => void): Promise<object> {
    const { client, policy, action, onRetry, stretchMs } = this.#options;
    const { signal } = this.#either;
    const send = client.send.bind(client) as (command: object, options: object) => Promise<object>;
    const bytes = command instanceof UploadPartCommand ? byteLength(command.input.Body) : undefined;
    const ms = this.#msOf(command, bytes);
    const attempt = async (): Promise<object> => {
      try {
        return await withDeadline((options) => send(command, options), {
          action,
          signal,
          ms,
          bytes,
          stretchMs,
        });
      } catch (error) {
        const mapped = fromS3(error, this.#options);
        seen?.(mapped);
        throw mapped;
      }
    };
    return withRetry(attempt, patient(policy), { action, signal, onRetry });
  }

  /** Servers put the parts together, or copy one, before they answer. */
  #msOf(command: object, bytes: number | undefined): number {
    const { answerMs, workMs } = this.#options;
    const isWork =
      command instanceof CompleteMultipartUploadCommand || command instanceof UploadPartCopyCommand;
    return isWork ? workMs(this.#size) : answerMs(bytes);
  }

  /** An answer may be lost after the upload was completed; asked again, servers then know no such upload. */
  async #complete(command: CompleteMultipartUploadCommand): Promise<object> {
    let ambiguous = false;
    try {
      this.completed = await this.#retry(command, ({ retryable }) => {
        ambiguous ||= retryable;
      });
    } catch (error) {
      const expected = compositeEtag(command.input.MultipartUpload?.Parts ?? []);
      if (!ambiguous || isSyncAgentError(error, 'INTERRUPTED')) throw error;
      const { Bucket, Key } = this.#target;
      const found = await this.#retry(new HeadObjectCommand({ Bucket, Key })).catch(() => ({}));
      if ((found as { ETag?: string }).ETag?.replaceAll('"', '') !== expected) throw error;
      this.completed = found;
    }
    return this.completed;
  }

  /**
   * Best effort and in spite of an aborted signal, but then in a hurry: the failure that led here is the one to report,
   * and somebody waits for it.
   */
  async #abort(command: AbortMultipartUploadCommand): Promise<object> {
    const { client, action, signal, answerMs } = this.#options;
    const isHurried = signal?.aborted === true;
    const ms = isHurried ? Math.min(hurriedAbortMs, answerMs()) : answerMs();
    for (let attempt = 1; attempt <= (isHurried ? 1 : 2); attempt += 1) {
      try {
        return await withDeadline((options) => client.send(command, options), { action, ms });
      } catch (error) {
        if (!fromS3(error, { ...this.#options, signal: undefined }).retryable) break;
      }
    }
    return {};
  }
}

/** How S3 servers name an object that came in parts, unless it is encrypted with a key of the customer's. */
function compositeEtag(parts: readonly CompletedPart[]): string {
  const hash = createHash('md5');
  for (const { ETag = '' } of parts) hash.update(Buffer.from(ETag.replaceAll('"', ''), 'hex'));
  return `${hash.digest('hex')}-${parts.length}`;
}

function byteLength(body: unknown): number {
  return body instanceof Uint8Array ? body.byteLength : 0;
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
