import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { throwIfAborted } from '../errors.ts';

const chunkBytes = 256 * 1024;

/** SHA-256 of a file's first `size` bytes, lower-case hexadecimal. Rejects when it is shorter. */
export async function hashFile(path: string, size: number, signal: AbortSignal | undefined): Promise<string> {
  const hash = createHash('sha256');
  // One buffer for the whole file: a fresh one per piece is garbage that piles up to tens of megabytes.
  const buffer = Buffer.allocUnsafe(Math.min(chunkBytes, size));
  const handle = await open(path, 'r');
  try {
    for (let position = 0; position < size;) {
      throwIfAborted(signal, 'Hashing');
      const wanted = Math.min(buffer.byteLength, size - position);
      const { bytesRead } = await handle.read(buffer, 0, wanted, position);
      if (bytesRead === 0) throw new Error(`"${path}" ended at byte ${position}, expected ${size}`);
      hash.update(buffer.subarray(0, bytesRead));
      position += bytesRead;
    }
  } finally {
    await handle.close();
  }
  return hash.digest('hex');
}
