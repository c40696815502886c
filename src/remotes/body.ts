import { createHash } from 'node:crypto';
import { openForRead } from '../platform/quick/readable-file.ts';
import type { Body, ByteRange } from './remote.ts';

const chunkBytes = 256 * 1024;

export function bytesBody(bytes: Uint8Array): Body {
  return {
    size: bytes.byteLength,
    open: async function* (range) {
      yield range === undefined ? bytes : bytes.subarray(range.start, range.end);
    },
  };
}

export function textBody(text: string): Body {
  return bytesBody(Buffer.from(text, 'utf8'));
}

/** The first `size` bytes of a file to which nobody writes any more. Fails rather than end short. */
export function fileBody(path: string, size: number): Body {
  return { size, file: path, open: (range) => readFileRange(path, range ?? { start: 0, end: size }) };
}

/** The first `size` bytes of a file that belongs to somebody else: no remote may keep it. */
export function strangeFileBody(path: string, size: number): Body {
  return { size, open: (range) => readFileRange(path, range ?? { start: 0, end: size }) };
}

/** A body that is hashed as it is read. */
export interface HashingBody extends Body {
  /**
   * SHA-256 of the whole body, as it was last read to its end: lower-case hexadecimal. If a remote kept the body's own file
   * as the object, nobody has read it, and this does.
   */
  sha256(): Promise<string>;
}

export function hashing(body: Body): HashingBody {
  let sha256: string | undefined;
  const { size, file } = body;
  const open = async function* (range?: ByteRange): AsyncGenerator<Uint8Array> {
    if (range !== undefined) {
      yield* body.open(range);
      return;
    }
    const hash = createHash('sha256');
    for await (const chunk of body.open()) {
      hash.update(chunk);
      yield chunk;
    }
    sha256 = hash.digest('hex');
  };
  return {
    size,
    ...(file === undefined ? {} : { file }),
    open,
    sha256: async () => {
      if (sha256 === undefined && file !== undefined) for await (const _ of open());
      if (sha256 === undefined) throw new Error('the body was not read to its end');
      return sha256;
    },
  };
}

/** All chunks share one buffer, so a chunk is valid until the next is asked for. Fresh buffers would pile up to tens of megabytes. */
export async function* readFileRange(path: string, range: ByteRange): AsyncGenerator<Uint8Array> {
  const file = await openForRead(path);
  try {
    let position = range.start;
    const buffer = Buffer.allocUnsafe(Math.min(chunkBytes, range.end - position));
    while (position < range.end) {
      const wanted = Math.min(buffer.length, range.end - position);
      const bytesRead = await file.read(buffer.subarray(0, wanted), position);
      if (bytesRead === 0) throw new Error(`"${path}" ended at byte ${position}, expected ${range.end}`);
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

/**
 * Reads a whole body into memory of its own; fails with a RangeError beyond `limit` bytes. `expected`: the bytes that it
 * probably has.
 */
export async function collect(
  source: AsyncIterable<Uint8Array>,
  limit: number,
  expected = 0,
): Promise<Buffer> {
  let bytes = Buffer.allocUnsafeSlow(Math.min(expected, limit));
  let size = 0;
  for await (const chunk of source) {
    const end = size + chunk.byteLength;
    if (end > limit) throw new RangeError(`body exceeds ${limit} bytes`);
    if (end > bytes.byteLength) {
      const larger = Buffer.allocUnsafeSlow(Math.max(end, 2 * bytes.byteLength));
      bytes.copy(larger, 0, 0, size);
      bytes = larger;
    }
    bytes.set(chunk, size);
    size = end;
  }
  return bytes.subarray(0, size);
}
