import { constants, fstat, fstatSync, read, readSync } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { promisify } from 'node:util';
import { openDescriptor, quickBytes } from './descriptor.ts';
import { quickCalls } from './quick-calls.ts';

/** A file that is read here and there. Its owner closes it. */
export interface ReadableFile {
  stat(): Promise<BigIntStats>;
  /** Fills `buffer` from `position` on; resolves to the bytes that there were, 0 at the end. */
  read(buffer: Uint8Array, position: number): Promise<number>;
  close(): Promise<void>;
}

const later = { fstat: promisify(fstat), read: promisify(read) };

/** With `noFollow`, ELOOP if `path` is a symbolic link. What has become a FIFO fails to be read, instead of waiting for a writer. */
export async function openForRead(
  path: string,
  { noFollow = false }: { readonly noFollow?: boolean } = {},
): Promise<ReadableFile> {
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | (noFollow ? constants.O_NOFOLLOW : 0);
  const { number: descriptor, close } = await openDescriptor(path, flags);
  return {
    stat: async () =>
      quickCalls.make(
        () => fstatSync(descriptor, { bigint: true }),
        () => later.fstat(descriptor, { bigint: true }),
      ),
    read: async (buffer, position) => {
      const readLater = async (): Promise<number> =>
        (await later.read(descriptor, buffer, 0, buffer.byteLength, position)).bytesRead;
      return buffer.byteLength > quickBytes
        ? readLater()
        : quickCalls.make(() => readSync(descriptor, buffer, 0, buffer.byteLength, position), readLater);
    },
    close,
  };
}
