import pLimit, { type LimitFunction } from 'p-limit';
import type { Readable } from 'node:stream';
import {
  CopyObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  type GetObjectCommandOutput,
} from '@aws-sdk/client-s3';
import { firstAlone } from '../../platform/concurrently.ts';
import { SyncAgentError, isSyncAgentError } from '../../platform/errors.ts';
import { stretchBytes } from '../wrappers/deadline.ts';
import { assertKey, assertRange } from '../key.ts';
import type {
  Body,
  ByteRange,
  CallOptions,
  CopyOptions,
  DirectoryListing,
  GetOptions,
  GetResult,
  ListOptions,
  ListPage,
  ObjectInfo,
  Remote,
  PutOptions,
  PutResult,
  RemoteRemark,
} from '../remote.ts';
import { prefixed } from '../wrappers/prefixed-remote.ts';
import { PartMemory } from '../part-memory.ts';
import { readParts } from '../read-body.ts';
import { withPayloadHash } from './payload-hash.ts';
import { s3Body } from './s3-body.ts';
import { serverErrorName } from './errors/s3-errors.ts';
import { listDirectories, listObjects, sweepUploads } from './s3-list.ts';
import { copyInParts, uploadInParts } from './s3-multipart.ts';
import { S3Remover } from './s3-remove.ts';
import { S3Session, type S3Call } from './connection/s3-session.ts';
import type { S3Settings } from './s3-settings.ts';
import { s3Remarks } from './s3-remarks.ts';

const MiB = 1024 * 1024;
const largestCreateOnlyBytes = 8 * MiB;
/** Content-Encodings that change the bytes; `aws-chunked`, which some servers keep, does not. */
const compressed = /gzip|deflate|compress|br|zstd/i;

/**
 * A remote in a bucket of an S3-compatible server. Nothing is retried here but the parts of big objects; wrap it in
 * `retrying`. Importing this module loads the AWS SDK, some 110 ms.
 */
export function createS3Remote(settings: S3Settings): Remote {
  return prefixed(new S3Remote(settings), settings.prefix ?? '');
}

class S3Remote implements Remote {
  readonly location: string;
  readonly #session: S3Session;
  readonly #remover: S3Remover;
  readonly #partSizeBytes: number;
  /** Memory is bounded by turns: so many bodies or parts of bodies are held at a time. */
  readonly #turns: LimitFunction;
  readonly #firstAlone = firstAlone();
  readonly #memory: PartMemory;

  constructor(settings: S3Settings) {
    this.#session = new S3Session(settings);
    this.#remover = new S3Remover(this.#session);
    this.location = this.#session.location;
    this.#partSizeBytes = Math.max(5 * MiB, settings.partSizeBytes ?? 6 * MiB);
    this.#turns = pLimit(settings.uploadConcurrency ?? 4);
    this.#memory = new PartMemory(this.#partSizeBytes);
  }

  async put(key: string, body: Body, options: PutOptions = {}): Promise<PutResult> {
    assertKey(key);
    const call = this.#session.call('put', key, options);
    const createOnly = options.ifAbsent === true;
    if (createOnly && body.size > largestCreateOnlyBytes) {
      throw new SyncAgentError(
        'INTERNAL',
        `Cannot ${call.action}: ${body.size} bytes are too many for a create-only object`,
      );
    }
    const target = this.#session.target(key, options.contentType);
    if (body.size > this.#partSizeBytes && !createOnly) {
      const { base } = options;
      const source = {
        body,
        partSizeBytes: this.#partSizeBytes,
        turns: this.#turns,
        firstAlone: this.#firstAlone,
        memory: this.#memory,
        base: base && { ...base, source: this.#copySource(base.key) },
      };
      const { onBytes, after } = options;
      const multipart = { ...this.#session.multipart(call), onBytes, after };
      const { output, parts } = await uploadInParts(target, source, multipart);
      return { serverTime: this.#session.serverTime(output, call), parts };
    }
    await options.after;
    const output = await this.#turns(async () => {
      const whole = await readParts(body, body.size, { ...call, memory: this.#memory }).next();
      const { bytes = Buffer.alloc(0), sha256 } = whole.value ?? {};
      const put = new PutObjectCommand({
        ...target,
        Body: bytes,
        ...(createOnly ? { IfNoneMatch: '*' } : {}),
        ...this.#session.sha256(options.sha256),
      });
      const payload = { bytes, sha256: options.sha256 ?? sha256, md5: this.#session.md5 };
      const command = withPayloadHash(put, payload);
      const sent = await this.#session
        .send(call, (sending) => this.#session.client.send(command, sending), { bytes: bytes.byteLength })
        .catch((error: unknown) => {
          throw createOnly && serverErrorName(error) === 'NotImplemented'
            ? conditionRefused(error, call)
            : error;
        });
      this.#memory.give(bytes);
      return sent;
    });
    options.onBytes?.(body.size);
    return { serverTime: this.#session.serverTime(output, call) };
  }

  async get(key: string, options: GetOptions = {}): Promise<GetResult> {
    assertKey(key);
    assertRange(options.range);
    const call = this.#session.call('get', key, options);
    const { range, ifVersion } = options;
    const command = new GetObjectCommand({
      ...this.#session.object(key),
      ...(range === undefined ? {} : { Range: `bytes=${range.start}-${range.end - 1}` }),
      ...(ifVersion === undefined ? {} : { IfMatch: ifVersion }),
    });
    const output = await this.#session
      .send(call, (sending) => this.#session.client.send(command, sending))
      .catch((error: unknown) => {
        if (!isSyncAgentError(error, 'ALREADY_EXISTS')) throw error;
        const message = `Cannot ${call.action}: it was replaced meanwhile`;
        throw new SyncAgentError('REMOTE_UNREACHABLE', message, { cause: error.cause });
      });
    const { Body: stream, ContentLength: size, ETag: version } = output;
    try {
      if (stream === undefined || size === undefined || version === undefined) {
        const message = `Cannot ${call.action}: the answer has no body, Content-Length or ETag`;
        throw new SyncAgentError('REMOTE_UNREACHABLE', message);
      }
      if (compressed.test(output.ContentEncoding ?? '')) {
        const message = `Cannot ${call.action}: the answer is compressed (${output.ContentEncoding})`;
        throw new SyncAgentError('REMOTE_UNREACHABLE', message, {
          remedy: 'Let proxies before the server pass on objects as they are',
        });
      }
      if (range !== undefined) assertAnswered(range, output, call);
      const serverTime = this.#session.serverTime(output, call);
      const { answerTimeoutMs, stallTimeoutMs } = this.#session;
      const body = s3Body(stream as Readable, {
        ...call,
        size,
        stallTimeoutMs: size <= stretchBytes ? answerTimeoutMs : stallTimeoutMs,
      });
      return { size, body, version, serverTime };
    } catch (error) {
      (stream as Readable | undefined)?.destroy();
      throw error;
    }
  }

  async head(key: string, options: CallOptions = {}): Promise<ObjectInfo | undefined> {
    assertKey(key);
    const call = this.#session.call('head', key, options);
    const command = new HeadObjectCommand(this.#session.object(key));
    try {
      const { ContentLength, LastModified } = await this.#session.send(call, (sending) =>
        this.#session.client.send(command, sending),
      );
      return { key, size: ContentLength ?? 0, lastModified: this.#session.known(LastModified, call) };
    } catch (error) {
      if (isSyncAgentError(error, 'NOT_FOUND')) return undefined;
      throw error;
    }
  }

  list(prefix: string, options: ListOptions = {}): AsyncIterable<ListPage> {
    return listObjects(this.#session, prefix, options);
  }

  listDirectories(prefix: string, options: CallOptions = {}): Promise<DirectoryListing> {
    return listDirectories(this.#session, prefix, options);
  }

  async copy(from: string, to: string, options: CopyOptions = {}): Promise<void> {
    assertKey(from);
    assertKey(to);
    await options.after;
    const call = this.#session.call('copy', from, options);
    const source = this.#copySource(from);
    const { client } = this.#session;
    const target = this.#session.target(to);
    const command = new CopyObjectCommand({ ...target, CopySource: source });
    const patience = { ms: this.#session.copyMs(options.bytes) };
    try {
      await this.#session.send(call, (sending) => client.send(command, sending), patience);
    } catch (error) {
      // Servers refuse what is too big for one request (5 GiB at AWS) as an invalid request; asking the size of
      // each source beforehand would cost one more request per copy.
      if (!isSyncAgentError(error, 'REMOTE_UNREACHABLE') || error.retryable) throw error;
      const info = await this.#session.send(call, (sending) =>
        client.send(new HeadObjectCommand(this.#session.object(from)), sending),
      );
      const { ContentLength: size = 0, ETag: etag } = info;
      const partBytes = this.#session.settings.copyPartBytes ?? 512 * MiB;
      if (etag === undefined || size <= partBytes) throw error;
      const contentType = info.ContentType === undefined ? {} : { ContentType: info.ContentType };
      await copyInParts(
        { ...target, ...contentType },
        { source, etag, size, partBytes },
        this.#session.multipart(call),
      );
    }
  }

  remove(keys: readonly string[], options: CallOptions = {}): Promise<void> {
    return this.#remover.remove(keys, options);
  }

  sweepUploads(prefix: string, before: Date, options: CallOptions = {}): Promise<number> {
    return sweepUploads(this.#session, prefix, before, options);
  }

  remarks(options: CallOptions = {}): Promise<readonly RemoteRemark[]> {
    return s3Remarks(this.#session, options);
  }

  async close(): Promise<void> {
    this.#session.destroy();
  }

  #copySource(key: string): string {
    return [this.#session.settings.bucket, ...key.split('/')].map(encodeURIComponent).join('/');
  }
}

/** Some servers answer any condition of a put so. */
function conditionRefused(cause: unknown, { action }: S3Call): SyncAgentError {
  return new SyncAgentError(
    'UNSUPPORTED',
    `Cannot ${action}: the server does not implement create-only writes`,
    { cause },
  );
}

/** A range says twice how long it is, so that a wrong Content-Length shows. */
function assertAnswered(
  range: ByteRange,
  { ContentRange, ContentLength }: GetObjectCommandOutput,
  call: S3Call,
): void {
  const [, first = -1, last = -1, total = Infinity] = (
    /^bytes (\d+)-(\d+)\/(?:(\d+)|\*)$/.exec(ContentRange ?? '') ?? []
  ).map((digits: string | undefined) => (digits === undefined ? undefined : Number(digits)));
  if (first !== range.start) {
    throw new SyncAgentError('REMOTE_UNREACHABLE', `Cannot ${call.action}: the server ignored the range`);
  }
  const expected = Math.min(range.end, total) - range.start;
  if (ContentLength === expected && last - first + 1 === expected) return;
  const found = `"${ContentRange}" with a Content-Length of ${ContentLength}`;
  const message = `Cannot ${call.action}: asked for ${expected} bytes, the server answers ${found}`;
  throw new SyncAgentError('REMOTE_UNREACHABLE', message, { retryable: true });
}
