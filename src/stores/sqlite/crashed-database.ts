import { constants, copyFileSync, lstatSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { isHotJournal, openSqliteImage } from './sqlite-image.ts';
import type { SqliteImage } from './sqlite-image.ts';

/**
 * Opens a database of a store as it lies, or says in one sentence why it is no sound one. A program that was killed
 * leaves a hot journal or a write-ahead log, which is no damage: SQLite recovers from it at the next start. That is
 * done to a copy in `scratch`, so that no byte of the store changes, and so that the shared memory of a program that
 * we cannot see is left alone.
 */
export function openDatabaseAsItLies(path: string, label: string, scratch: string): SqliteImage | string {
  if (!wasLeftOpen(path)) return openSqliteImage(path, label);
  const copy = join(scratch, basename(path));
  const removeCopies = (): void => {
    for (const end of ['', '-journal', '-wal', '-shm']) rmSync(copy + end, { force: true });
  };
  try {
    mkdirSync(scratch, { recursive: true });
    for (const end of ['', '-journal', '-wal'])
      if (exists(path + end)) copyFileSync(path + end, copy + end, constants.COPYFILE_FICLONE);
    const image = openSqliteImage(copy, label, { recover: true });
    if (typeof image === 'string') removeCopies();
    return typeof image === 'string' ? image : { db: image.db, close: () => (image.close(), removeCopies()) };
  } catch (error) {
    removeCopies();
    throw error;
  }
}

function wasLeftOpen(path: string): boolean {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats?.isFile() !== true || stats.size === 0) return false;
  return isHotJournal(`${path}-journal`) || sizeOf(`${path}-wal`) > 0 || exists(`${path}-shm`);
}

const exists = (path: string): boolean => statSync(path, { throwIfNoEntry: false }) !== undefined;
const sizeOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0;
