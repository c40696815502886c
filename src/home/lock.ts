import { lstat, readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import Database from 'better-sqlite3';
import type { Clock } from '../platform/clock.ts';
import { SyncAgentError, errnoOf, fromFileSystem, isSyncAgentError } from '../platform/errors.ts';
import { isDiskFull } from '../platform/disk-space.ts';
import type { FileSystem } from '../platform/file-system.ts';
import { writeFileAtomic } from '../platform/file-system.ts';
import type { Home } from './home.ts';
import {
  agentLockPath,
  buildLockPath,
  buildRoot,
  drillLockPath,
  drillRoot,
  lockPath,
  logLockPath,
  rollbackRoot,
  stagingRoot,
} from './home.ts';

export interface Lock {
  release(): void;
}

export interface LockStoreOptions {
  /** What the holder does. Shown to the user of another process that finds the store locked. */
  readonly command: string;
  readonly waitMs: number;
  /** Called when the wait begins, with the reason. */
  readonly onWait: (why: string) => void;
  readonly clock: Clock;
  readonly signal: AbortSignal | undefined;
}

/** The pause between two attempts. */
const pauseMs = 200;

/**
 * Takes the store's lock: one operation per store at a time. It is SQLite's exclusive lock on an empty file. The kernel holds it,
 * so it ends with its process, however that ends, and works across containers that share the disk. There are no stale
 * locks. `<lock>.json` names the holder, for messages only.
 *
 * Rejects with BUSY, and names the holder, if it has not finished after `waitMs`.
 */
export async function lockStore(
  fs: FileSystem,
  home: Home,
  { command, waitMs, onWait, clock, signal }: LockStoreOptions,
): Promise<Lock> {
  const action = `Cannot lock the store "${home.store}"`;
  const deadline = clock.monotonic() + waitMs;
  let isWaiting = false;
  for (;;) {
    try {
      return await takeLock(fs, home, { path: lockPath(home), holder: { command }, action, timeoutMs: 0 });
    } catch (error) {
      if (!isSyncAgentError(error, 'BUSY') || clock.monotonic() >= deadline) throw error;
      if (!isWaiting) onWait(error.message);
      isWaiting = true;
      await clock.sleep(Math.min(pauseMs, waitMs), { signal }).catch((cause: unknown) => {
        throw new SyncAgentError('INTERRUPTED', `${error.message}, and the wait for it was interrupted`, {
          cause,
        });
      });
    }
  }
}

/** Takes the lock of the running agent, of which there is one per store. It works as that of `lockStore`. */
export function lockAgent(fs: FileSystem, home: Home, holder: { readonly command: string }): Promise<Lock> {
  const action = `Cannot watch the store "${home.store}"`;
  // `isAgentRunning` in another process may hold the lock for a moment.
  return takeLock(fs, home, { path: agentLockPath(home), holder, action, timeoutMs: 500 });
}

/** Takes the lock of a drill, of which there is one at a time. BUSY, naming the other one. */
export function lockDrill(fs: FileSystem, home: Home): Promise<Lock> {
  const action = `Cannot drill the snapshots of "${home.store}"`;
  return takeLock(fs, home, {
    path: drillLockPath(home),
    holder: { command: 'drill' },
    action,
    timeoutMs: 0,
  });
}

/** Takes the lock of the process that follows the store's own log. */
export function lockLog(fs: FileSystem, home: Home, holder: { readonly command: string }): Promise<Lock> {
  const action = `Cannot follow the writes of "${home.store}"`;
  return takeLock(fs, home, { path: logLockPath(home), holder, action, timeoutMs: 500 });
}

/** Takes the lock of a rebuild, of which there is one at a time. BUSY, naming the other one. */
export function lockBuild(fs: FileSystem, home: Home, timeoutMs: number): Promise<Lock> {
  const action = `Cannot rebuild "${home.store}"`;
  const holder = { command: 'rebuild' };
  return takeLock(fs, home, { path: buildLockPath(home), holder, action, timeoutMs });
}

/** Whether an agent is running for the store, on this host or in another container that shares the disk. */
export const isAgentRunning = (home: Home): Promise<boolean> => isHeld(agentLockPath(home));

/** Whether a process follows the store's own log. */
export const isLogFollowed = (home: Home): Promise<boolean> => isHeld(logLockPath(home));

async function isHeld(path: string): Promise<boolean> {
  if ((await lstat(path).catch(() => undefined)) === undefined) return false;
  let database: Database.Database | undefined;
  try {
    database = new Database(path, { timeout: 0, readonly: true });
    database.prepare('SELECT count(*) FROM sqlite_schema').get();
    return false;
  } catch (error) {
    if (isBusy(error)) return true;
    const action = 'Cannot tell whether an agent is running';
    throw fromFileSystem(cannotOpen(error, path, action), action);
  } finally {
    database?.close();
  }
}

interface LockRequest {
  readonly path: string;
  readonly holder: { readonly command: string };
  /** The beginning of error messages. */
  readonly action: string;
  readonly timeoutMs: number;
}

async function takeLock(
  fs: FileSystem,
  home: Home,
  { path, holder, action, timeoutMs }: LockRequest,
): Promise<Lock> {
  let database: Database.Database;
  try {
    await assertOwnDirectories(home, action);
    await fs.makeDirectory(home.dir);
    await makeLockFile(fs, path);
    database = new Database(path, { timeout: timeoutMs });
  } catch (error) {
    throw cannotOpen(error, path, action);
  }
  try {
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if (isBusy(error)) {
      throw new SyncAgentError('BUSY', `${action}: ${await describeHolder(path)} is working on it`, {
        remedy: 'Wait for it to finish, or stop it',
        cause: error,
      });
    }
    throw cannotOpen(error, path, action);
  }
  const text = JSON.stringify({
    ...holder,
    pid: process.pid,
    host: hostname(),
    since: new Date().toISOString(),
  });
  // After a crash of the machine nobody holds the lock. To flush it would keep a start waiting for all that others have written.
  await writeFileAtomic(fs, `${path}.json`, text, { isDurable: false }).catch((error: unknown) => {
    database.close();
    throw isDiskFull(error) ? error : fromFileSystem(error, action);
  });
  return { release: () => database.close() };
}

/**
 * Makes the file before SQLite does, so that it gets the store's owner and everybody may read it. An existing file is not opened:
 * closing a descriptor would drop this process's lock on it.
 */
async function makeLockFile(fs: FileSystem, path: string): Promise<void> {
  if ((await lstat(path).catch(() => undefined)) !== undefined) return;
  try {
    await (await fs.openForWrite(path, { exclusive: true })).close();
    await fs.setAttributes(path, { mode: 0o644 });
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
  }
}

/** An error of SQLite as one that a user can act on. The caller explains a full disk. */
function cannotOpen(error: unknown, path: string, action: string): unknown {
  if (isDiskFull(error)) return error;
  if (!(error instanceof Database.SqliteError)) return fromFileSystem(error, action);
  if (!/^SQLITE_(READONLY|PERM|CANTOPEN)/.test(error.code)) return error;
  return new SyncAgentError('DENIED', `${action}: "${path}" cannot be opened: ${error.message}`, {
    remedy: 'Run sync-agent as the user that owns the store and the files beside it',
    cause: error,
  });
}

const isBusy = (error: unknown): boolean =>
  error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY');

/**
 * Everything in staging, and old rollback copies, are deleted without a check, so neither directory may be a link to another
 * place. In a store that is a mount point the application itself could have made such a link.
 */
async function assertOwnDirectories(home: Home, action: string): Promise<void> {
  for (const path of [home.dir, stagingRoot(home), rollbackRoot(home), drillRoot(home), buildRoot(home)]) {
    const stats = await lstat(path).catch(() => undefined);
    if (stats === undefined || stats.isDirectory()) continue;
    throw new SyncAgentError('REFUSED', `${action}: "${path}" is not a real directory`, {
      remedy: 'Move it away: lock, state, staging and rollback copies belong there',
    });
  }
}

async function describeHolder(path: string): Promise<string> {
  try {
    const holder = JSON.parse(await readFile(`${path}.json`, 'utf8')) as Record<string, unknown>;
    return `sync-agent ${String(holder['command'])} (pid ${String(holder['pid'])} on ${String(holder['host'])}, since ${String(holder['since'])})`;
  } catch {
    return 'another sync-agent';
  }
}
