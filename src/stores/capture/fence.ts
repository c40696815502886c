import { closeSync, openSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { SyncAgentError, errnoOf, throwIfAborted } from '../../platform/errors.ts';
import type { Clock } from '../../platform/clock.ts';
import { findLockHolders } from './lock-holders.ts';
import { findOpenFilesLimit } from '../../platform/open-files.ts';

/** Holds the writers of SQLite databases back while it is open. Readers never notice. */
export interface Fence {
  /** Those whose writers it does not hold back. */
  readonly unfenced: readonly Unfenced[];
  /** Lets the writers go. The time since the first database was fenced off, milliseconds; 0 when none was. */
  release(): number;
}

export interface Unfenced {
  readonly path: string;
  /** `denied`: this user may not write it. `damaged`: SQLite does not take it for a database. */
  readonly reason: 'denied' | 'damaged';
}

export interface FenceOptions {
  /** By `clock.monotonic()`. */
  readonly deadline: number;
  /** How long that is in all, milliseconds, for messages. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
}

/** The longest wait for one database, milliseconds, because the writers of those before it wait as well. */
const turnMs = 1000;

/**
 * Takes SQLite's RESERVED lock (in WAL mode: the writer's lock) on every database by `BEGIN IMMEDIATE`. Writers then
 * wait in their busy handler as they do for each other; it ends with this process. A hot journal was rolled back when
 * it resolves, so the main file (with its `-wal`, if any) is complete.
 *
 * A database that cannot be opened for writing is left unfenced, and told. Rejects with BUSY at the deadline, naming who
 * holds the lock; with EMFILE or ENFILE when descriptors run out; with ENOENT when a database vanished.
 *
 * Danger: closing any other descriptor of a fenced database in this process drops the lock (POSIX). Whoever reads the
 * file under the fence opens it before and closes it after.
 */
export async function raiseFence(
  dir: string,
  databases: readonly string[],
  options: FenceOptions,
): Promise<Fence> {
  const files = await groupByFile(dir, databases);
  for (;;) {
    const raised = await tryToRaise(dir, files, options);
    if (typeof raised !== 'string') return raised;
    // Nobody else waits while we wait for this one.
    const taken = await take(join(dir, raised), { ...options, until: options.deadline });
    if (typeof taken === 'object') close(taken);
    if (taken === 'busy') throw await lockedError(join(dir, raised), options);
  }
}

/** Resolves to the path of a database whose turn did not come within `turnMs` while others were held. */
async function tryToRaise(
  dir: string,
  files: readonly DatabaseFile[],
  options: FenceOptions,
): Promise<Fence | string> {
  const { clock } = options;
  const held: Database.Database[] = [];
  const unfenced: Unfenced[] = [];
  let since = clock.monotonic();
  const release = (): number => {
    const elapsed = held.length === 0 ? 0 : clock.monotonic() - since;
    for (const database of held.toReversed()) close(database);
    held.length = 0;
    return elapsed;
  };
  try {
    // One after the other, in one order, so that two agents cannot deadlock.
    for (const { path, names } of files) {
      const until =
        held.length === 0 ? options.deadline : Math.min(options.deadline, clock.monotonic() + turnMs);
      const taken = await take(join(dir, path), { ...options, until });
      if (taken === 'busy' && clock.monotonic() >= options.deadline)
        throw await lockedError(join(dir, path), options);
      if (taken === 'busy') {
        release();
        return path;
      }
      if (typeof taken === 'string') unfenced.push(...names.map((name) => ({ path: name, reason: taken })));
      else {
        held.push(taken);
        if (held.length === 1) since = clock.monotonic();
      }
    }
    return { unfenced, release };
  } catch (error) {
    release();
    throw error;
  }
}

function close(database: Database.Database): void {
  if (database.inTransaction) database.exec('ROLLBACK');
  database.close();
}

/** A file with a database, by the name that its writer uses, and all its names. */
interface DatabaseFile {
  readonly path: string;
  readonly names: readonly string[];
}

/**
 * Of the names of one file (hard links) the one that a writer uses is that which has a `-wal` or `-journal`; else the first.
 * Two connections of this process to one file would wait for each other.
 */
async function groupByFile(dir: string, paths: readonly string[]): Promise<readonly DatabaseFile[]> {
  const chosen = new Map<string, DatabaseFile & { readonly besideBytes: number }>();
  for (const path of paths) {
    const found = await stat(join(dir, path), { bigint: true }).catch(() => undefined);
    const file = found === undefined ? path : `${found.dev}:${found.ino}`;
    const sizes = await Promise.all(['-wal', '-journal'].map((suffix) => sizeOf(join(dir, path + suffix))));
    const besideBytes = Math.max(...sizes);
    const other = chosen.get(file);
    const names = [...(other?.names ?? []), path];
    if (other === undefined || other.besideBytes < besideBytes)
      chosen.set(file, { path, names, besideBytes });
    else chosen.set(file, { ...other, names });
  }
  return [...chosen.values()];
}

/** -1 for a file that is not there. */
async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => -1,
  );
}

/** A connection in a transaction that keeps writers out, or why there is none. */
type Taken = Database.Database | Unfenced['reason'] | 'busy';

async function take(path: string, options: FenceOptions & { readonly until: number }): Promise<Taken> {
  let database: Database.Database | undefined;
  try {
    // On what it may only read, SQLite begins such a transaction without a word, and holds nobody back.
    closeSync(openSync(path, 'r+'));
    database = new Database(path, { fileMustExist: true, timeout: 0 });
    if (await begin(database, options)) return database;
    database.close();
    return 'busy';
  } catch (error) {
    const limit = findOpenFilesLimit(error);
    database?.close();
    if (limit !== undefined) throw limit;
    if (['EACCES', 'EPERM', 'EROFS'].includes(errnoOf(error) ?? '')) return 'denied';
    if (!(error instanceof Database.SqliteError)) throw error;
    if (/^SQLITE_(NOTADB|CORRUPT)/.test(error.code)) return 'damaged';
    if (!/^SQLITE_(READONLY|CANTOPEN|PERM|IOERR_DELETE)/.test(error.code)) throw error;
    await stat(path);
    return 'denied';
  }
}

async function begin(
  database: Database.Database,
  { clock, signal, until }: FenceOptions & { readonly until: number },
): Promise<boolean> {
  const start = clock.monotonic();
  for (;;) {
    throwIfAborted(signal, 'Capture');
    try {
      database.exec('BEGIN IMMEDIATE');
      return true;
    } catch (error) {
      const isBusy = error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY');
      if (!isBusy) throw error;
      if (clock.monotonic() >= until) return false;
    }
    // The writers' own busy handlers retry every few milliseconds too; polling at a similar pace gets a fair turn.
    const waitedMs = clock.monotonic() - start;
    await clock.sleep(Math.min(50, Math.max(2, waitedMs / 500)), { signal });
  }
}

async function lockedError(path: string, { timeoutMs }: FenceOptions): Promise<SyncAgentError> {
  const holders = await findLockHolders(path);
  const [who, remedy] =
    holders.length === 0
      ? [
          'a process that cannot be seen from here',
          'Look for it in other containers and on other hosts that mount this disk',
        ]
      : [
          holders.map(({ pid, program }) => `pid ${pid} (${program})`).join(', '),
          'Let it end its transaction, or leave exclusive locking mode',
        ];
  return new SyncAgentError(
    'BUSY',
    `Cannot capture "${path}": its writers never paused for ${timeoutMs / 1000} s; locked by ${who}`,
    { remedy: `${remedy}; or raise --capture-timeout` },
  );
}
