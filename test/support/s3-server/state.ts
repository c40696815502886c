import { createHash } from 'node:crypto';
import { S3Failure } from './s3-failure.ts';

/** Bytes of an immutable file; files live until the server closes, so that a reader is never cut off by a writer. */
export interface Segment {
  readonly file: string;
  readonly start: number;
  readonly size: number;
}

export interface StoredObject {
  readonly segments: readonly Segment[];
  readonly size: number;
  /** Without quotes. */
  readonly etag: string;
  readonly lastModified: Date;
  /** Response headers that came with the object: content type, storage class, encryption. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface UnfinishedUpload {
  readonly id: string;
  readonly key: string;
  readonly initiated: Date;
  readonly headers: Readonly<Record<string, string>>;
  /** Whether CRC-32 was announced for it: then each part has to come with one, and else none may. */
  readonly hasCrc32: boolean;
  readonly parts: Map<number, UploadedPart>;
}

export interface UploadedPart {
  readonly segments: readonly Segment[];
  readonly size: number;
  readonly etag: string;
  /** Base64; empty if it came without one. */
  readonly crc32: string;
}

export interface Bucket {
  readonly objects: Map<string, StoredObject>;
  readonly uploads: Map<string, UnfinishedUpload>;
}

/** Objects are published by one synchronous step, which is what makes If-None-Match atomic. */
export class S3State {
  readonly buckets = new Map<string, Bucket>();

  bucket(name: string): Bucket {
    const found = this.buckets.get(name);
    if (found === undefined) throw new S3Failure(404, 'NoSuchBucket', 'The specified bucket does not exist');
    return found;
  }

  object(bucket: string, key: string): StoredObject {
    const found = this.bucket(bucket).objects.get(key);
    if (found === undefined) throw new S3Failure(404, 'NoSuchKey', 'The specified key does not exist.');
    return found;
  }

  upload(bucket: string, id: string | null): UnfinishedUpload {
    const found = this.bucket(bucket).uploads.get(id ?? '');
    if (found === undefined) throw new S3Failure(404, 'NoSuchUpload', 'The specified upload does not exist.');
    return found;
  }
}

/** The bytes [start, end) of a sequence of segments. */
export function sliceSegments(segments: readonly Segment[], start: number, end: number): readonly Segment[] {
  const result: Segment[] = [];
  let position = 0;
  for (const segment of segments) {
    const from = Math.max(start, position);
    const to = Math.min(end, position + segment.size);
    if (from < to)
      result.push({ file: segment.file, start: segment.start + from - position, size: to - from });
    position += segment.size;
  }
  return result;
}

export function compositeEtag(etags: readonly string[]): string {
  const hash = createHash('md5');
  for (const etag of etags) hash.update(Buffer.from(etag, 'hex'));
  return `${hash.digest('hex')}-${etags.length}`;
}
