import { close as closeLater, closeSync, open as openLater, openSync } from 'node:fs';
import { promisify } from 'node:util';
import { quickCalls } from './quick-calls.ts';

/** To read or write more bytes than this takes too long for the thread that everything else waits for. */
export const quickBytes = 64 * 1024;

const later = { open: promisify(openLater), close: promisify(closeLater) };

/** An open file. */
export interface Descriptor {
  readonly number: number;
  /** The number of a closed descriptor is given to the next file: a second call does not close it again. */
  readonly close: () => Promise<void>;
}

/** A file that is created is private to this user. */
export async function openDescriptor(path: string, flags: number): Promise<Descriptor> {
  const number = await quickCalls.make(
    () => openSync(path, flags, 0o600),
    () => later.open(path, flags, 0o600),
  );
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> =>
    quickCalls.make(
      () => closeSync(number),
      () => later.close(number),
    );
  return { number, close: () => (closing ??= close()) };
}
