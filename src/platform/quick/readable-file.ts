import { close, closeSync, constants, fstat, fstatSync, open, openSync, read, readSync } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { promisify } from 'node:util';
import { quickCalls } from './quick-calls.ts';

/** A file that is read here and there. Its owner closes it. */
export interface ReadableFile {
  stat(): Promise<BigIntStats>;
  /** Fills `buffer` from `position` on; resolves to the bytes that there were, 0 at the end. */
  read(buffer: Uint8Array, position: number): Promise<number>;
  close(): Promise<void>;
}

const later = {
  open: promisify(open),
  close: promisify(close),
  fstat: promisify(fstat),
  read: promisify(read),
};
/** To read more than this takes too long for the thread that everything else waits for. */
const quickBytes = 64 * 1024;

/** With `noFollow`, ELOOP if `path` is a symbolic link. */
export async function openForRead(
  path: string,
  { noFollow = false }: { readonly noFollow?: boolean } = {},
): Promise<ReadableFile> {
  const flags = constants.O_RDONLY | (noFollow ? constants.O_NOFOLLOW : 0);
  const descriptor = await quickCalls.make(
    () => openSync(path, flags),
    () => later.open(path, flags),
  );
  let closing: Promise<void> | undefined;
  const closeOnce = async (): Promise<void> =>
    quickCalls.make(
      () => closeSync(descriptor),
      () => later.close(descriptor),
    );
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
    // The number of a closed descriptor is given to the next file: it must not be closed twice.
    close: () => (closing ??= closeOnce()),
  };
}
