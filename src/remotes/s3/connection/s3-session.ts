import type { PutObjectCommandInput, S3Client } from '@aws-sdk/client-s3';
import { systemClock } from '../../../platform/clock.ts';
import { SyncAgentError, errnoOf, throwIfAborted } from '../../../platform/errors.ts';
import { answerMs, copyMs, withDeadline } from '../../wrappers/deadline.ts';
import type { Timed } from '../../wrappers/deadline.ts';
import { describeCall, type RemoteOperation } from '../../describe-call.ts';
import type { CallOptions } from '../../remote.ts';
import { defaultRetryPolicy } from '../../wrappers/retry.ts';
import { createS3Client, type S3Connection } from './s3-client.ts';
import { fromS3, type S3CallContext } from '../errors/s3-errors.ts';
import type { MultipartOptions, MultipartTarget } from '../multipart-upload.ts';
import type { S3Settings } from '../s3-settings.ts';
import { speaksTls } from './speaks-tls.ts';

/** One call: its words for messages, and what `fromS3` needs. */
export interface S3Call extends S3CallContext {
  readonly operation: RemoteOperation;
  readonly subject: string;
}

export interface SendOptions {
  /** Of the body that is sent. */
  readonly bytes?: number;
  /** How long the answer may take once the body was sent. */
  readonly ms?: number;
}

/** Shared by all requests to one bucket. Keys include the prefix. Messages leave it out. */
export class S3Session {
  readonly location: string;
  readonly settings: S3Settings;
  /** Whether this server has asked for Content-MD5. */
  readonly md5 = { isAsked: false };
  readonly #clients: S3Connection;
  #tls: Promise<boolean> | undefined;

  constructor(settings: S3Settings) {
    this.location = `s3://${settings.bucket}`;
    this.settings = settings;
    this.#clients = createS3Client(settings);
  }

  get client(): S3Client {
    return this.#clients.client;
  }

  destroy(): void {
    this.#clients.destroy();
  }

  get stallTimeoutMs(): number {
    return this.settings.stallTimeoutMs ?? 30_000;
  }

  /** Time for an answer before which the server has little to do. */
  get answerTimeoutMs(): number {
    return this.settings.answerTimeoutMs ?? Math.min(20_000, this.stallTimeoutMs);
  }

  /** Time for a server-side copy of `bytes`. */
  copyMs(bytes: number | undefined): number {
    return copyMs(this.settings.copyTimeoutMs ?? 600_000, bytes);
  }

  /** Runs one request within its deadline. Every failure becomes the error of the call. */
  async send<T>(
    call: S3Call,
    request: (options: Timed) => Promise<T>,
    { bytes, ms = this.#answerMs(bytes) }: SendOptions = {},
  ): Promise<T> {
    throwIfAborted(call.signal, call.action);
    const { action, signal } = call;
    try {
      return await withDeadline(request, { action, signal, bytes, ms, stretchMs: this.stallTimeoutMs });
    } catch (error) {
      const failure = fromS3(error, call);
      throw (await this.#isTlsExpected(failure, call)) ? speaksTlsInstead(call) : failure;
    }
  }

  /** A server that expects TLS drops connections without it, and no retry helps. Tried only once. */
  #isTlsExpected(failure: SyncAgentError, { signal }: S3Call): Promise<boolean> | false {
    const { endpoint } = this.#clients;
    const isDropped = failure.retryable && /^(ECONNRESET|EPIPE)$/.test(errnoOf(failure.cause) ?? '');
    if (!isDropped || endpoint?.protocol !== 'http:' || this.#clients.hasAnswered() || this.settings.proxy)
      return false;
    return (this.#tls ??= speaksTls(endpoint, signal));
  }

  #answerMs(bytes: number | undefined): number {
    return bytes === undefined ? this.answerTimeoutMs : answerMs(this.stallTimeoutMs, bytes);
  }

  call(operation: RemoteOperation, subject: string, { signal }: CallOptions): S3Call {
    const prefix = this.settings.prefix ?? '';
    const place = prefix === '' ? this.location : `${this.location}/${prefix}`;
    const clock = this.settings.retry?.clock ?? systemClock;
    const action = describeCall(operation, this.shown(subject), place);
    const secrets = (): readonly string[] => this.#clients.secrets();
    return {
      operation,
      subject,
      action,
      signal,
      now: () => clock.now(),
      secrets,
      proxy: this.settings.proxy?.shown,
      endpoint: this.#clients.endpoint,
      profile: this.#clients.profile,
    };
  }

  shown(key: string): string {
    const base = `${this.settings.prefix ?? ''}/`;
    return base !== '/' && key.startsWith(base) ? key.slice(base.length) : key;
  }

  object(key: string): { readonly Bucket: string; readonly Key: string } {
    return { Bucket: this.settings.bucket, Key: key };
  }

  target(key: string, contentType?: string): MultipartTarget {
    const { serverSideEncryption, kmsKeyId, storageClass } = this.settings;
    return {
      ...this.object(key),
      ...(contentType === undefined ? {} : { ContentType: contentType }),
      ...(serverSideEncryption === undefined ? {} : { ServerSideEncryption: serverSideEncryption }),
      ...(kmsKeyId === undefined ? {} : { SSEKMSKeyId: kmsKeyId }),
      ...(storageClass === undefined
        ? {}
        : { StorageClass: storageClass as NonNullable<PutObjectCommandInput['StorageClass']> }),
    };
  }

  sha256(hex: string | undefined): { readonly ChecksumSHA256?: string } {
    if (hex === undefined || this.#clients.checksums === 'when_required') return {};
    return { ChecksumSHA256: Buffer.from(hex, 'hex').toString('base64') };
  }

  multipart(call: S3Call): MultipartOptions {
    const { onRetry, ...policy } = this.settings.retry ?? {};
    return {
      ...call,
      client: this.client,
      concurrency: this.settings.uploadConcurrency ?? 4,
      policy: { ...defaultRetryPolicy, ...policy },
      onRetry: (failure) =>
        onRetry?.({ ...failure, operation: call.operation, key: this.shown(call.subject) }),
      announcesChecksums: this.#clients.checksums === 'when_supported',
      md5: this.md5,
      answerMs: (bytes) => this.#answerMs(bytes),
      workMs: (bytes) => this.copyMs(bytes),
      stretchMs: this.stallTimeoutMs,
    };
  }

  serverTime(output: object, call: S3Call): Date {
    return this.known(this.#clients.serverTimeOf(output), call);
  }

  /** There is no fallback: the age of objects must never be judged by this host's clock. */
  known(time: Date | undefined, { action }: S3Call): Date {
    if (time !== undefined) return time;
    throw new SyncAgentError('REMOTE_UNREACHABLE', `Cannot ${action}: the answer does not tell the time`, {
      remedy: 'Let proxies before the server pass on the headers Date and Last-Modified',
    });
  }
}

function speaksTlsInstead({ action }: S3Call): SyncAgentError {
  return new SyncAgentError('REMOTE_UNREACHABLE', `Cannot ${action}: the server speaks TLS at this port`, {
    remedy: 'Write the endpoint with https://',
  });
}
