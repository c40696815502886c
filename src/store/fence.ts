import { stat } from 'node:fs/promises';
import Database from 'better-sqlite3';
import { SyncAgentError, messageOf, throwIfAborted } from '../errors.ts';
import type { Clock } from '../clock.ts';

/** Holds the writers of SQLite databases back while it is open. Readers never notice. */
export interface Fence {
  /** Lets the writers go. The time since the last database was fenced off, milliseconds. */
  release(): number;
}

export interface FenceOptions {
  /** By `clock.monotonic()`. */
  readonly deadline: number;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Takes SQLite's RESERVED lock (in WAL mode: the writer's lock) on every database by `BEGIN IMMEDIATE`. Writers then
 * wait in their busy handler as they do for each other; it ends with this process. A hot journal was rolled back when
 * it resolves, so the main file (with its `-wal`, if any) is complete.
 *
 * Undefined when a database cannot be opened for writing: then nobody can be held back. Rejects with BUSY at the deadline.
 *
 * Danger: closing any other descriptor of a fenced database in this process drops the lock (POSIX). Whoever reads the
 * file under the fence opens it before and closes it after.
 */
export async function raiseFence(
  databases: readonly string[],
  options: FenceOptions,
): Promise<Fence | undefined> {
  const held: Database.Database[] = [];
  let since = options.clock.monotonic();
  const release = (): number => {
    const elapsed = options.clock.monotonic() - since;
    for (const database of held.toReversed()) {
      if (database.inTransaction) database.exec('ROLLBACK');
      database.close();
    }
    return elapsed;
  };
  try {
    for (const path of await oncePerFile(databases)) {
      const database = new Database(path, { fileMustExist: true, timeout: 0 });
      held.push(database);
      // One after the other, in one order, so that two agents cannot deadlock.
      await begin(database, path, options);
      if (held.length === 1) since = options.clock.monotonic();
    }
    return { release };
  } catch (error) {
    release();
    if (error instanceof Database.SqliteError && /^SQLITE_(READONLY|CANTOPEN|PERM)/.test(error.code))
      return undefined;
    throw error;
  }
}

/**
 * Of the names of one file (hard links) the one that a writer uses, which its `-wal` or `-journal` tells; else the first.
 * Two connections of this process to one file would wait for each other.
 */
async function oncePerFile(paths: readonly string[]): Promise<readonly string[]> {
  const chosen = new Map<string, { readonly path: string; readonly besideBytes: number }>();
  for (const path of paths) {
    const found = await stat(path, { bigint: true }).catch(() => undefined);
    const file = found === undefined ? path : `${found.dev}:${found.ino}`;
    const sizes = await Promise.all(['-wal', '-journal'].map((suffix) => sizeOf(`${path}${suffix}`)));
    const besideBytes = Math.max(...sizes);
    const other = chosen.get(file);
    if (other === undefined || other.besideBytes < besideBytes) chosen.set(file, { path, besideBytes });
  }
  return [...chosen.values()].map(({ path }) => path);
}

/** -1 for a file that is not there. */
async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => -1,
  );
}

async function begin(database: Database.Database, path: string, options: FenceOptions): Promise<void> {
  for (;;) {
    throwIfAborted(options.signal, 'Capture');
    try {
      database.exec('BEGIN IMMEDIATE');
      return;
    } catch (error) {
      const isBusy = error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY');
      if (!isBusy) throw asCorrupt(error, path);
      if (options.clock.monotonic() > options.deadline) {
        throw new SyncAgentError('BUSY', `Cannot capture "${path}": its writers never paused`, {
          remedy: 'Try again when less is written, or raise --capture-timeout',
          cause: error,
        });
      }
    }
    // The writers' own busy handlers retry every few milliseconds too; polling at a similar pace gets a fair turn.
    await options.clock.sleep(2, { signal: options.signal });
  }
}

function asCorrupt(error: unknown, path: string): unknown {
  return error instanceof Database.SqliteError && /^SQLITE_(NOTADB|CORRUPT)/.test(error.code)
    ? new SyncAgentError('STORE_CORRUPT', `Cannot capture "${path}": ${messageOf(error)}`, {
        remedy: 'The last good snapshot is untouched: restore it with "sync-agent restore --force"',
        cause: error,
      })
    : error;
}
