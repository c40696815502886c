import { createHash } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  UploadPartCommand,
  UploadPartCopyCommand,
  type CompletedPart,
  type CreateMultipartUploadCommandOutput,
  type HeadObjectCommandOutput,
  type PutObjectCommandInput,
  type S3Client,
  type UploadPartCommandOutput,
  type UploadPartCopyCommandInput,
  type UploadPartCopyCommandOutput,
} from '@aws-sdk/client-s3';
import { eitherSignal, type EitherSignal } from '../../platform/abort-signals.ts';
import { SyncAgentError, isSyncAgentError } from '../../platform/errors.ts';
import type { Parts, PutOptions } from '../remote.ts';
import { withDeadline } from '../wrappers/deadline.ts';
import { patient, withRetry, type FailedAttempt, type RetryPolicy } from '../wrappers/retry.ts';
import { fromS3, type S3CallContext } from './errors/s3-errors.ts';
import { withPayloadHash, type Payload } from './payload-hash.ts';

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
  readonly onBytes?: PutOptions['onBytes'] | undefined;
  /** The upload is not completed before this resolves. */
  readonly after?: PutOptions['after'];
}

type CopiedPart = Pick<UploadPartCopyCommandInput, 'CopySource' | 'CopySourceIfMatch' | 'CopySourceRange'>;

/**
 * The requests of one multipart upload, each with its own retry, so that one lost part does not repeat the others. A part
 * that fails ends the others.
 */
export class MultipartUpload {
  readonly #target: MultipartTarget;
  readonly #options: MultipartOptions;
  readonly #size: number;
  readonly #failure = new AbortController();
  readonly #either: EitherSignal;
  #created: Promise<string | undefined> | undefined;
  #announcesCrc32 = false;

  /** `size`: bytes of the whole object. */
  constructor(target: MultipartTarget, size: number, options: MultipartOptions) {
    this.#target = target;
    this.#size = size;
    this.#options = options;
    this.#either = eitherSignal(this.#failure.signal, options.signal);
  }

  /** Other requests may be asked for at once: they wait for this one, and fail as it does. */
  async create(announced: { readonly ChecksumAlgorithm?: 'CRC32' } = {}): Promise<void> {
    this.#announcesCrc32 = announced.ChecksumAlgorithm !== undefined;
    const command = new CreateMultipartUploadCommand({ ...this.#target, ...announced });
    this.#created = this.#retry(command).then(
      (answer) => (answer as CreateMultipartUploadCommandOutput).UploadId,
    );
    await this.#created;
  }

  /** What names this version of an object to copy parts from. Undefined if it is not there, or not as long as its parts are. Does not fail. */
  async etagOf(key: string, { bytes, sha256 }: Parts): Promise<string | undefined> {
    const { Bucket } = this.#target;
    try {
      const ms = this.#options.answerMs();
      const answer = await this.#send(new HeadObjectCommand({ Bucket, Key: key }), { ms });
      const { ETag, ContentLength = 0 } = answer as HeadObjectCommandOutput;
      return Math.ceil(ContentLength / bytes) === sha256.length ? ETag : undefined;
    } catch {
      return undefined;
    }
  }

  /** `number`: from 1. */
  async sendPart(number: number, payload: Payload): Promise<CompletedPart> {
    const { bytes } = payload;
    const command = new UploadPartCommand({ ...(await this.#place()), PartNumber: number, Body: bytes });
    const answer = await this.#part<UploadPartCommandOutput>(
      withPayloadHash(command, payload),
      bytes.byteLength,
    );
    const { ChecksumCRC32 } = answer;
    const own = ChecksumCRC32 === undefined ? {} : { ChecksumCRC32 };
    return { PartNumber: number, ETag: this.#etagOf(answer), ...own };
  }

  async copyPart(number: number, part: CopiedPart): Promise<CompletedPart> {
    const command = new UploadPartCopyCommand({ ...(await this.#place()), PartNumber: number, ...part });
    const { CopyPartResult } = await this.#part<UploadPartCopyCommandOutput>(command);
    return { PartNumber: number, ETag: this.#etagOf(CopyPartResult) };
  }

  /**
   * Asks once, and gives a part no more time than a small request. Undefined if the server does not copy it, for whatever reason but
   * an abort: its bytes can be sent as well, with all patience.
   */
  async tryToCopyPart(number: number, part: CopiedPart): Promise<CompletedPart | undefined> {
    const command = new UploadPartCopyCommand({ ...(await this.#place()), PartNumber: number, ...part });
    const { signal } = this.#either;
    try {
      const { CopyPartResult } = (await this.#send(command, {
        ms: this.#options.answerMs(),
      })) as UploadPartCopyCommandOutput;
      const { ETag, ChecksumCRC32 } = CopyPartResult ?? {};
      if (ETag === undefined || (this.#announcesCrc32 && ChecksumCRC32 === undefined)) return undefined;
      return { PartNumber: number, ETag, ...(ChecksumCRC32 === undefined ? {} : { ChecksumCRC32 }) };
    } catch (error) {
      if (signal.aborted) throw error;
      return undefined;
    }
  }

  /** Resolves to the output of the last request. An answer may be lost after the upload was completed; asked again, servers then know no such upload. */
  async complete(done: readonly CompletedPart[]): Promise<object> {
    const parts = done.toSorted((a, b) => (a.PartNumber ?? 0) - (b.PartNumber ?? 0));
    let ambiguous = false;
    try {
      const command = new CompleteMultipartUploadCommand({
        ...(await this.#place()),
        MultipartUpload: { Parts: parts },
      });
      return await this.#retry(command, {
        seen: ({ retryable }) => {
          ambiguous ||= retryable;
        },
      });
    } catch (error) {
      if (!ambiguous || isSyncAgentError(error, 'INTERRUPTED')) throw error;
      const { Bucket, Key } = this.#target;
      const found = await this.#retry(new HeadObjectCommand({ Bucket, Key })).catch(() => ({}));
      if ((found as { ETag?: string }).ETag?.replaceAll('"', '') !== compositeEtag(parts)) throw error;
      return found;
    }
  }

  /**
   * Best effort and in spite of an aborted signal, but then in a hurry: the failure that led here is the one to report,
   * and somebody waits for it. An upload that did not begin needs no request.
   */
  async abort(): Promise<void> {
    const { client, action, signal, answerMs } = this.#options;
    const isHurried = signal?.aborted === true;
    const ms = isHurried ? Math.min(hurriedAbortMs, answerMs()) : answerMs();
    for (let attempt = 1; attempt <= (isHurried ? 1 : 2); attempt += 1) {
      try {
        const command = new AbortMultipartUploadCommand(await this.#place());
        await withDeadline((options) => client.send(command, options), { action, ms });
        return;
      } catch (error) {
        if (!fromS3(error, { ...this.#options, signal: undefined }).retryable) return;
      }
    }
  }

  release(): void {
    this.#either.release();
  }

  async #place(): Promise<
    Pick<MultipartTarget, 'Bucket' | 'Key'> & { readonly UploadId: string | undefined }
  > {
    const { Bucket, Key } = this.#target;
    return { Bucket, Key, UploadId: await this.#created };
  }

  async #part<T extends object>(command: object, bytes?: number): Promise<T> {
    try {
      return (await this.#retry(command, { bytes })) as T;
    } catch (error) {
      this.#failure.abort(error);
      throw error;
    }
  }

  /** Parts are named by their ETags when the upload is completed. */
  #etagOf(answer: { readonly ETag?: string | undefined } | undefined): string {
    if (answer?.ETag !== undefined) return answer.ETag;
    const message = `Cannot ${this.#options.action}: the answer has no ETag`;
    throw new SyncAgentError('REMOTE_UNREACHABLE', message, {
      remedy: 'Let proxies before the server pass on the header ETag',
    });
  }

  /** `bytes`: of the command's body. `seen` is told of each failed attempt. */
  #retry(
    command: object,
    {
      bytes,
      seen,
    }: { readonly bytes?: number | undefined; readonly seen?: (error: SyncAgentError) => void } = {},
  ): Promise<object> {
    const { policy, action, onRetry } = this.#options;
    const { signal } = this.#either;
    const attempt = async (): Promise<object> => {
      try {
        return await this.#send(command, { bytes, ms: this.#msOf(command, bytes) });
      } catch (error) {
        const mapped = fromS3(error, this.#options);
        seen?.(mapped);
        throw mapped;
      }
    };
    return withRetry(attempt, patient(policy), { action, signal, onRetry });
  }

  #send(
    command: object,
    { bytes, ms }: { readonly bytes?: number | undefined; readonly ms: number },
  ): Promise<object> {
    const { client, action, stretchMs } = this.#options;
    const { signal } = this.#either;
    const send = client.send.bind(client) as (command: object, options: object) => Promise<object>;
    const deadline = { action, signal, ms, bytes, stretchMs };
    return withDeadline((options) => send(command, options), deadline);
  }

  /** Servers put the parts together, or copy one, before they answer. */
  #msOf(command: object, bytes: number | undefined): number {
    const { answerMs, workMs } = this.#options;
    const isWork =
      command instanceof CompleteMultipartUploadCommand || command instanceof UploadPartCopyCommand;
    return isWork ? workMs(this.#size) : answerMs(bytes);
  }
}

/** How S3 servers name an object that came in parts, unless it is encrypted with a key of the customer's. */
function compositeEtag(parts: readonly CompletedPart[]): string {
  const hash = createHash('md5');
  for (const { ETag = '' } of parts) hash.update(Buffer.from(ETag.replaceAll('"', ''), 'hex'));
  return `${hash.digest('hex')}-${parts.length}`;
}
