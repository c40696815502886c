import {
  closeSync,
  lstatSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import Database from 'better-sqlite3';
import { SyncAgentError, messageOf } from '../../platform/errors.ts';

/** A database that nobody writes, open for reading. */
export interface SqliteImage {
  readonly db: Database.Database;
  /** Closes the database and removes what opening it had put beside it. */
  close(): void;
}

/**
 * Opens a database of an image, or says in one sentence why it is no sound one. Never changes the file.
 *
 * A hot rollback journal means that the image was taken in the middle of a transaction: SQLite would have to write
 * to read it. A write-ahead log is part of the database and is read, but SQLite, even read-only, leaves a `-shm`
 * and an empty `-wal` beside a WAL-mode database (`immutable=1` needs URI names, which better-sqlite3 has off):
 * `close` removes those it made and restores a `-shm` that was there. A crash in between leaves files that the
 * next user of the database makes anyway.
 */
export function openSqliteImage(
  path: string,
  label: string,
  /** It is a copy, and nobody else's: let SQLite recover it from its journal or log. */
  { recover = false }: { readonly recover?: boolean } = {},
): SqliteImage | string {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return `${label} is missing`;
  if (!stats.isFile()) return `${label} is not a regular file`;
  if (stats.size === 0) return `${label} is empty`;
  if (!recover && isHotJournal(`${path}-journal`))
    return `${label}-journal is left over from an unfinished transaction`;
  const restore = rememberSidecars(path);
  let db: Database.Database | undefined;
  const close = (): void => {
    db?.close();
    restore();
  };
  try {
    db = new Database(path, { readonly: !recover, fileMustExist: true });
    db.prepare('SELECT count(*) FROM sqlite_master').get();
    return { db, close };
  } catch (error) {
    close();
    if (sqliteCodeOf(error)?.startsWith('SQLITE_CANTOPEN') === true) {
      throw new SyncAgentError('DENIED', `Cannot read "${path}": ${messageOf(error)}`, { cause: error });
    }
    if (sqliteCodeOf(error) === undefined) throw error;
    return `${label} cannot be read: ${messageOf(error)}`;
  }
}

/** `SQLITE_CORRUPT` and the like; undefined for any other error. */
export function sqliteCodeOf(error: unknown): string | undefined {
  return error instanceof Database.SqliteError ? error.code : undefined;
}

/** A journal that was finished in PERSIST mode starts with zeros, one in TRUNCATE mode is empty. */
export function isHotJournal(path: string): boolean {
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) === 0) return false;
  const fd = openSync(path, 'r');
  try {
    const first = Buffer.alloc(8);
    readSync(fd, first, 0, 8, 0);
    return first.some((byte) => byte !== 0);
  } finally {
    closeSync(fd);
  }
}

function rememberSidecars(path: string): () => void {
  const hadWal = statSync(`${path}-wal`, { throwIfNoEntry: false }) !== undefined;
  const shm =
    statSync(`${path}-shm`, { throwIfNoEntry: false }) === undefined
      ? undefined
      : readFileSync(`${path}-shm`);
  return () => {
    if (!hadWal && statSync(`${path}-wal`, { throwIfNoEntry: false })?.size === 0) rmSync(`${path}-wal`);
    if (shm === undefined) rmSync(`${path}-shm`, { force: true });
    else if (!readFileSync(`${path}-shm`).equals(shm)) writeFileSync(`${path}-shm`, shm);
  };
}
