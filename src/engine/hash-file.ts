import { createHash } from 'node:crypto';
import { throwIfAborted } from '../platform/errors.ts';
import { readFileRange } from '../remotes/body.ts';

/** SHA-256 of a file's first `size` bytes, lower-case hexadecimal. Rejects when it is shorter. */
export async function hashFile(path: string, size: number, signal: AbortSignal | undefined): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of readFileRange(path, { start: 0, end: size })) {
    throwIfAborted(signal, 'Hashing');
    hash.update(chunk);
  }
  return hash.digest('hex');
}
