import { closeSync, constants, fchmodSync, fstatSync, openSync, readSync, writeSync } from 'node:fs';
import { errnoOf } from '../errors.ts';

/** Larger ones are copied by a thread of the pool, whose help costs as much as this takes. */
const smallBytes = 64 * 1024;

let smallFile: Buffer | undefined;

/**
 * Copies a file that is no larger than `smallBytes`; else returns false, with nothing done. Takes a third of the processor
 * time of `copyFile` and `chmod` by promises, which counts in a store of 100,000 files.
 */
export function copySmallFile(from: string, to: string, mode: number | undefined): boolean {
  const bytes = readSmallFile(from);
  if (bytes === undefined) return false;
  const { isNew, file } = openForCopy(to);
  try {
    for (let done = 0; done < bytes.length;) done += writeSync(file, bytes, done, bytes.length - done, done);
    if (mode !== undefined || !isNew) fchmodSync(file, mode ?? 0o600);
  } finally {
    closeSync(file);
  }
  return true;
}

/** Undefined for what is not a file, and for one that is or becomes too large. Valid until the next call. */
function readSmallFile(path: string): Buffer | undefined {
  // What has become a FIFO meanwhile would block until somebody writes.
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stats = fstatSync(file);
    if (!stats.isFile() || stats.size > smallBytes) return undefined;
    smallFile ??= Buffer.allocUnsafeSlow(smallBytes + 1);
    let done = 0;
    for (let read = -1; read !== 0 && done < smallFile.length; done += read)
      read = readSync(file, smallFile, done, smallFile.length - done, done);
    return done > smallBytes ? undefined : smallFile.subarray(0, done);
  } finally {
    closeSync(file);
  }
}

/** Empty, and 0600 if it is new. */
function openForCopy(path: string): { readonly isNew: boolean; readonly file: number } {
  const flags = constants.O_WRONLY | constants.O_CREAT;
  try {
    return { isNew: true, file: openSync(path, flags | constants.O_EXCL, 0o600) };
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
    return { isNew: false, file: openSync(path, flags | constants.O_TRUNC, 0o600) };
  }
}
