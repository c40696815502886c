import { closeSync, constants, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { makeBreather } from '../../platform/breathe.ts';
import { errnoOf } from '../../platform/errors.ts';
import type { ScanResult } from '../content/scan.ts';

/** The first 16 bytes of every database that is not empty (sqlite.org/fileformat2.html, 1.3). */
const magic = Buffer.from('SQLite format 3\0', 'latin1');

/** Names that SQLite databases go by. */
export const databaseName = /\.(db3?|sqlite3?|s3db|sl3)$/i;

/**
 * Whether a file is a SQLite database, by its first bytes; an empty file is none yet. Opens the file, and closing
 * it drops every POSIX lock this process holds on it: never ask while a connection here holds one.
 *
 * Blocks for three short calls. By promises they take twenty times as long, which counts in a store of many files.
 */
export async function isSqliteFile(path: string): Promise<boolean> {
  // What has become a FIFO meanwhile would block until somebody writes.
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const start = Buffer.alloc(magic.length);
    return readSync(file, start, 0, start.length, 0) === magic.length && start.equals(magic);
  } finally {
    closeSync(file);
  }
}

/**
 * The read version of the file format: byte 19 of the header is 2 in WAL mode (sqlite.org/fileformat2.html, 1.3.3). Opens and closes the
 * file, as `isSqliteFile` does.
 */
export function isInWalMode(path: string): boolean {
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const byte = Buffer.alloc(1);
    return readSync(file, byte, 0, 1, 19) === 1 && byte[0] === 2;
  } finally {
    closeSync(file);
  }
}

/** The databases among the files of a store. What vanishes meanwhile is none. */
export async function sqliteFiles(
  dir: string,
  { files }: Pick<ScanResult, 'files'>,
): Promise<readonly string[]> {
  const found: string[] = [];
  const breathe = makeBreather();
  for (const { path, size } of files) {
    // A journal is no database, and it may be gone by the time we look.
    if (size === 0 || /-(journal|wal|shm)$/.test(path)) continue;
    await breathe();
    if (await isSqliteFile(join(dir, path)).catch(vanished)) found.push(path);
  }
  return found;
}

function vanished(error: unknown): boolean {
  if (errnoOf(error) === 'ENOENT') return false;
  throw error;
}
