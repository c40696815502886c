import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { S3Failure } from './s3-failure.ts';
import { headerOf } from './signature.ts';

export interface ReceivedBody {
  readonly file: string;
  readonly size: number;
  readonly md5: Buffer;
  /** As it came, base64; empty if none did. */
  readonly crc32: string;
}

/** Writes a request's body to `file` and enforces every checksum that came with it. */
export async function receiveBody(request: IncomingMessage, file: string): Promise<ReceivedBody> {
  const hashes = { md5: createHash('md5'), sha256: createHash('sha256') };
  const trailers = new Map<string, string>();
  const declared = headerOf(request, 'x-amz-content-sha256');
  const isChunked = declared.startsWith('STREAMING-');
  let crc = 0;
  let size = 0;
  const handle = await open(file, 'w');
  try {
    for await (const chunk of isChunked
      ? decodeChunks(request, trailers)
      : (request as AsyncIterable<Buffer>)) {
      hashes.md5.update(chunk);
      hashes.sha256.update(chunk);
      crc = crc32(chunk, crc);
      await handle.write(chunk, 0, chunk.byteLength, size);
      size += chunk.byteLength;
    }
  } finally {
    await handle.close();
  }
  const md5 = hashes.md5.digest();
  const sha256 = hashes.sha256.digest();
  const crcBytes = Buffer.alloc(4);
  crcBytes.writeUInt32BE(crc);

  const length = headerOf(request, isChunked ? 'x-amz-decoded-content-length' : 'content-length');
  if (length !== '' && Number(length) !== size) throw new S3Failure(400, 'IncompleteBody');
  if (!isChunked && declared !== 'UNSIGNED-PAYLOAD' && declared !== sha256.toString('hex')) {
    throw new S3Failure(400, 'XAmzContentSHA256Mismatch');
  }
  const expected = [
    ['content-md5', md5],
    ['x-amz-checksum-sha256', sha256],
    ['x-amz-checksum-crc32', crcBytes],
  ] as const;
  for (const [name, digest] of expected) {
    const given = trailers.get(name) ?? headerOf(request, name);
    if (given !== '' && given !== digest.toString('base64'))
      throw new S3Failure(400, 'BadDigest', `${name} did not match`);
  }
  const crc32Name = 'x-amz-checksum-crc32';
  return { file, size, md5, crc32: trailers.get(crc32Name) ?? headerOf(request, crc32Name) };
}

/** Content-Encoding aws-chunked: `<hex size>[;chunk-signature=…]\r\n<bytes>\r\n`, an empty chunk, then trailers. */
async function* decodeChunks(
  request: IncomingMessage,
  trailers: Map<string, string>,
): AsyncGenerator<Buffer> {
  let buffer = Buffer.alloc(0);
  let remaining = 0;
  let state = 'size' as 'size' | 'bytes' | 'end' | 'trailers';
  for await (const piece of request as AsyncIterable<Buffer>) {
    buffer = Buffer.concat([buffer, piece]);
    for (;;) {
      if (state === 'bytes') {
        const part = buffer.subarray(0, remaining);
        if (part.length > 0) yield part;
        remaining -= part.length;
        buffer = buffer.subarray(part.length);
        if (remaining > 0) break;
        state = 'end';
      }
      const end = buffer.indexOf('\r\n');
      if (end === -1) break;
      const line = buffer.subarray(0, end).toString('latin1');
      buffer = buffer.subarray(end + 2);
      if (state === 'end') state = 'size';
      else if (state === 'size') {
        remaining = Number.parseInt(line, 16);
        state = remaining === 0 ? 'trailers' : 'bytes';
      } else {
        const colon = line.indexOf(':');
        if (colon !== -1) trailers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
      }
    }
  }
  if (state !== 'trailers') throw new S3Failure(400, 'IncompleteBody');
}
