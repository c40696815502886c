import { createHash, randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { readFile } from 'node:fs/promises';
import type { S3Request } from './fault.ts';
import { receiveBody, type ReceivedBody } from './incoming-body.ts';
import { listObjects, listUploads } from './listing.ts';
import { S3Failure } from './s3-failure.ts';
import { headerOf } from './signature.ts';
import { compositeEtag, sliceSegments } from './state.ts';
import type { S3State, Segment, StoredObject, UnfinishedUpload } from './state.ts';
import { elementsOf, textsOf, toXml } from './xml.ts';

const minimumPartBytes = 5 * 1024 * 1024;

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | readonly Segment[];
}

export interface HandlerContext {
  readonly state: S3State;
  readonly request: S3Request;
  readonly message: IncomingMessage;
  readonly now: () => Date;
  readonly newFile: () => string;
  readonly maxCopyBytes: number;
}

export async function handle(context: HandlerContext): Promise<Answer> {
  const { state, request, message, now } = context;
  const { bucket: name, key, query } = request;
  switch (request.operation) {
    case 'PutObject': {
      const received = await receiveBody(message, context.newFile());
      const { objects } = state.bucket(name);
      const condition = headerOf(message, 'if-none-match');
      if (condition !== '' && condition !== '*') throw new S3Failure(501, 'NotImplemented');
      if (condition === '*' && objects.has(key)) throw preconditionFailed('If-None-Match');
      const etag = received.md5.toString('hex');
      objects.set(key, { ...wholeFile(received), etag, lastModified: now(), headers: keptHeaders(message) });
      return { status: 200, headers: { etag: `"${etag}"` } };
    }
    case 'CopyObject': {
      const source = copySource(context);
      if (source.size > context.maxCopyBytes) {
        throw new S3Failure(
          400,
          'InvalidRequest',
          'The specified copy source is larger than the maximum allowable size for a copy source',
        );
      }
      const headers = { ...source.headers, ...keptHeaders(message) };
      const copied = { ...source, headers, lastModified: now() };
      state.bucket(name).objects.set(key, copied);
      return { status: 200, body: copyResult('CopyObjectResult', copied.etag, copied.lastModified) };
    }
    case 'GetObject':
    case 'HeadObject':
      return readObject(context);
    case 'DeleteObject':
      state.bucket(name).objects.delete(key);
      return { status: 204 };
    case 'DeleteObjects': {
      if (
        headerOf(message, 'content-md5') === '' &&
        !Object.keys(message.headers).some((header) => header.startsWith('x-amz-checksum-'))
      ) {
        throw new S3Failure(400, 'InvalidRequest', 'Missing required header for this request: Content-MD5');
      }
      const keys = textsOf(await receiveText(context), 'Key');
      if (keys.length === 0 || keys.length > 1000) throw new S3Failure(400, 'MalformedXML');
      const { objects } = state.bucket(name);
      for (const each of keys) objects.delete(each);
      return { status: 200, body: toXml(['DeleteResult', []]) };
    }
    case 'ListObjectsV2':
      return { status: 200, body: listObjects(name, state.bucket(name), query) };
    case 'ListMultipartUploads':
      return { status: 200, body: listUploads(name, state.bucket(name), query) };
    case 'CreateMultipartUpload': {
      const id = randomBytes(12).toString('hex');
      state.bucket(name).uploads.set(id, {
        id,
        key,
        initiated: now(),
        headers: keptHeaders(message),
        hasCrc32: headerOf(message, 'x-amz-checksum-algorithm') === 'CRC32',
        parts: new Map(),
      });
      const result = toXml([
        'InitiateMultipartUploadResult',
        [
          ['Bucket', name],
          ['Key', xmlKey(key)],
          ['UploadId', id],
        ],
      ]);
      return { status: 200, body: result };
    }
    case 'UploadPart': {
      const received = await receiveBody(message, context.newFile());
      const etag = received.md5.toString('hex');
      const { crc32 } = received;
      const upload = state.upload(name, query.get('uploadId'));
      assertAnnounced(upload, crc32);
      upload.parts.set(partNumber(query), { ...wholeFile(received), etag, crc32 });
      const checksum = crc32 === '' ? {} : { 'x-amz-checksum-crc32': crc32 };
      return { status: 200, headers: { etag: `"${etag}"`, ...checksum } };
    }
    case 'UploadPartCopy': {
      const source = copySource(context);
      const [, first = 0, last = source.size - 1] = (
        /^bytes=(\d+)-(\d+)$/.exec(headerOf(message, 'x-amz-copy-source-range')) ?? []
      ).map(Number);
      const segments = sliceSegments(source.segments, first, last + 1);
      const hash = createHash('md5');
      for (const { file, start, size } of segments)
        hash.update((await readFile(file)).subarray(start, start + size));
      const etag = hash.digest('hex');
      state
        .upload(name, query.get('uploadId'))
        .parts.set(partNumber(query), { segments, size: last + 1 - first, etag, crc32: '' });
      return { status: 200, body: copyResult('CopyPartResult', etag, now()) };
    }
    case 'CompleteMultipartUpload':
      return completeUpload(context, await receiveText(context));
    case 'AbortMultipartUpload':
      state.upload(name, query.get('uploadId'));
      state.bucket(name).uploads.delete(query.get('uploadId') ?? '');
      return { status: 204 };
    case 'CreateBucket':
      await receiveText(context);
      if (state.buckets.has(name)) throw new S3Failure(409, 'BucketAlreadyOwnedByYou');
      state.buckets.set(name, { objects: new Map(), uploads: new Map() });
      return { status: 200, headers: { location: `/${name}` } };
    case 'HeadBucket':
      state.bucket(name);
      return { status: 200 };
    case 'DeleteBucket':
      if (state.bucket(name).objects.size > 0) throw new S3Failure(409, 'BucketNotEmpty');
      state.buckets.delete(name);
      return { status: 204 };
    case 'GetBucketLocation':
      state.bucket(name);
      return { status: 200, body: toXml(['LocationConstraint', '']) };
    case 'Unknown':
      throw new S3Failure(
        501,
        'NotImplemented',
        'A header or query you provided implies functionality that is not implemented',
      );
    default:
      return request.operation satisfies never;
  }
}

function readObject({ state, request, message }: HandlerContext): Answer {
  const object = state.object(request.bucket, request.key);
  const condition = headerOf(message, 'if-match');
  if (condition !== '' && condition !== `"${object.etag}"`) throw preconditionFailed('If-Match');
  const range = /^bytes=(\d+)-(\d+)$/.exec(headerOf(message, 'range'));
  const first = range === null ? 0 : Number(range[1]);
  const end = range === null ? object.size : Math.min(object.size, Number(range[2]) + 1);
  if (range !== null && first >= object.size)
    throw new S3Failure(416, 'InvalidRange', 'The requested range is not satisfiable');
  return {
    status: range === null ? 200 : 206,
    headers: {
      ...object.headers,
      etag: `"${object.etag}"`,
      'last-modified': object.lastModified.toUTCString(),
      'content-length': String(end - first),
      'accept-ranges': 'bytes',
      ...(range === null ? {} : { 'content-range': `bytes ${first}-${end - 1}/${object.size}` }),
    },
    body: sliceSegments(object.segments, first, end),
  };
}

/** AWS refuses a part whose checksum is not the one that the upload was created with (API_CreateMultipartUpload). */
function assertAnnounced({ hasCrc32 }: UnfinishedUpload, crc32: string): void {
  if (hasCrc32 === (crc32 !== '')) return;
  const nameOf = (has: boolean): string => (has ? 'crc32' : 'null');
  const types = `expected checksum Type: ${nameOf(hasCrc32)}, actual checksum Type: ${nameOf(crc32 !== '')}`;
  throw new S3Failure(400, 'InvalidRequest', `Checksum Type mismatch occurred, ${types}`);
}

function completeUpload({ state, request, now }: HandlerContext, xml: string): Answer {
  const { bucket, key, query } = request;
  const upload = state.upload(bucket, query.get('uploadId'));
  const named = elementsOf(xml, 'Part').map((part) => ({
    number: Number(textsOf(part, 'PartNumber')[0]),
    etag: textsOf(part, 'ETag')[0]?.replaceAll('"', ''),
    crc32: textsOf(part, 'ChecksumCRC32')[0] ?? '',
  }));
  if (named.length === 0) throw new S3Failure(400, 'MalformedXML');
  const parts = named.map(({ number, etag, crc32 }, index) => {
    const part = upload.parts.get(number);
    if (upload.hasCrc32 && crc32 === '') {
      const why =
        'The upload was created using a crc32 checksum. The complete request must include it for each part.';
      throw new S3Failure(400, 'InvalidRequest', why);
    }
    if (part === undefined || part.etag !== etag || part.crc32 !== crc32)
      throw new S3Failure(400, 'InvalidPart');
    if (index > 0 && (named[index - 1]?.number ?? 0) >= number) throw new S3Failure(400, 'InvalidPartOrder');
    if (index < named.length - 1 && part.size < minimumPartBytes) throw new S3Failure(400, 'EntityTooSmall');
    return part;
  });
  const etag = compositeEtag(parts.map((part) => part.etag));
  state.bucket(bucket).objects.set(key, {
    segments: parts.flatMap((part) => part.segments),
    size: parts.reduce((sum, part) => sum + part.size, 0),
    etag,
    lastModified: now(),
    headers: upload.headers,
  });
  state.bucket(bucket).uploads.delete(upload.id);
  return {
    status: 200,
    body: toXml([
      'CompleteMultipartUploadResult',
      [
        ['Bucket', bucket],
        ['ETag', `"${etag}"`],
      ],
    ]),
  };
}

function copySource({ state, message }: HandlerContext): StoredObject {
  const [bucket = '', ...key] = decodeURIComponent(headerOf(message, 'x-amz-copy-source'))
    .replace(/^\//, '')
    .split('/');
  const source = state.object(bucket, key.join('/'));
  const condition = headerOf(message, 'x-amz-copy-source-if-match').replaceAll('"', '');
  if (condition !== '' && condition !== source.etag) throw preconditionFailed('x-amz-copy-source-If-Match');
  return source;
}

async function receiveText({ message, newFile }: HandlerContext): Promise<string> {
  return readFile((await receiveBody(message, newFile())).file, 'utf8');
}

function wholeFile({ file, size }: ReceivedBody): {
  readonly segments: readonly Segment[];
  readonly size: number;
} {
  return { segments: [{ file, start: 0, size }], size };
}

function keptHeaders(message: IncomingMessage): Readonly<Record<string, string>> {
  const names = [
    'content-type',
    'x-amz-storage-class',
    'x-amz-server-side-encryption',
    'x-amz-server-side-encryption-aws-kms-key-id',
  ];
  return Object.fromEntries(
    names.map((name) => [name, headerOf(message, name)] as const).filter(([, value]) => value !== ''),
  );
}

function partNumber(query: URLSearchParams): number {
  const number = Number(query.get('partNumber'));
  if (!Number.isInteger(number) || number < 1 || number > 10_000) throw new S3Failure(400, 'InvalidArgument');
  return number;
}

function copyResult(name: string, etag: string, time: Date): string {
  return toXml([
    name,
    [
      ['ETag', `"${etag}"`],
      ['LastModified', time.toISOString()],
    ],
  ]);
}

/** Real servers answer with the key as it is; clients ignore it, and XML cannot hold every key. */
function xmlKey(key: string): string {
  // eslint-disable-next-line no-control-regex -- these are what is replaced
  return key.replace(/[\u0000-\u001f]/g, '?');
}

function preconditionFailed(condition: string): S3Failure {
  return new S3Failure(
    412,
    'PreconditionFailed',
    `At least one of the pre-conditions you specified did not hold: ${condition}`,
  );
}
