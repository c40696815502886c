import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { totalBytes } from '../../log/manifest.ts';
import { isDiskFull } from '../../platform/disk-space.ts';
import { SyncAgentError, messageOf, throwIfAborted } from '../../platform/errors.ts';
import { stagedData, stagingRoot } from '../../home/home.ts';
import { readJournal } from '../../home/journal.ts';
import { isTransient } from '../../stores/content/fingerprint.ts';
import { scanStore } from '../../stores/content/scan.ts';
import type { ScanResult } from '../../stores/content/scan.ts';
import { inPhase, newAttempt } from '../context.ts';
import type { Context } from '../context.ts';
import { spareBytes } from '../restore/disk-shortage.ts';
import { assertStillStopped, assertUntouched } from './stopped-store.ts';
import type { StoppedStore } from './stopped-store.ts';
import { swapContinuing } from './swap-continuing.ts';
import type { Placed } from './swap-continuing.ts';

export interface MendedCopyRequest {
  /** Number of rollback copies to keep. */
  readonly rollbackCopies: number;
  /** Changes the copy. False: it is not worth to be put in the place of the store. */
  readonly work: (dir: string) => Promise<boolean>;
}

/**
 * Copies the store into staging, lets `work` change the copy, and puts it in the place of the store, which becomes a rollback copy.
 *
 *     1 copy, change it, make it durable     crash, full disk: the old store, and garbage that the next run sweeps
 *     2 swap                                 crash: see `SwapRequest`
 *
 * The new store continues the old one: it has the same parents, and counts as written since.
 */
export async function placeMendedCopy(
  context: Context,
  stopped: StoppedStore,
  { rollbackCopies, work }: MendedCopyRequest,
): Promise<Placed | undefined> {
  const { home, fs } = context;
  const { action, scan } = stopped;
  await assertRoom(context, stopped);
  const attempt = newAttempt();
  const dir = stagedData(home, attempt);
  try {
    await inPhase(context, 'capture', () => copyStore(context, scan, dir));
    await assertUntouched(context, stopped);
    if (!(await work(dir))) return undefined;
    await makeDurable(context, scan, dir);
    await assertStillStopped(context, stopped);
    return await swapContinuing(context, { attempt, keepRollback: true, rollbackCopies });
  } catch (error) {
    if (isDiskFull(error) && (await readJournal(home)) === undefined)
      throw await diskFull(context, action, error);
    throw error;
  } finally {
    // Once there is a journal, staging is the new store: only `recover` of the next run may touch it.
    if ((await readJournal(home)) === undefined) await fs.remove(stagingRoot(home));
  }
}

/** Makes `dir`, with all that the store holds. */
export async function copyStore({ home, fs, signal }: Context, scan: ScanResult, dir: string): Promise<void> {
  for (const { path, mode } of scan.directories) {
    await fs.makeDirectory(join(dir, path));
    // What this user may not write could not be filled.
    await fs.setAttributes(join(dir, path), { mode: mode | 0o700 });
  }
  for (const file of scan.files.filter((each) => !isTransient(each))) {
    throwIfAborted(signal, 'Copying the store');
    await fs.copy(join(home.store, file.path), join(dir, file.path), { mode: file.mode | 0o600 });
  }
}

/** SQLite writes past our file system: what it made gets the attributes of what it replaces, and all is synced. */
async function makeDurable({ home, fs, signal }: Context, before: ScanResult, dir: string): Promise<void> {
  const modes = new Map([...before.files, ...before.directories].map(({ path, mode }) => [path, mode]));
  const { files, directories } = await scanStore(dir);
  const isRoot = process.geteuid?.() === 0;
  const give = async (path: string): Promise<void> => {
    throwIfAborted(signal, 'Flushing the copy');
    const mode = modes.get(path);
    if (mode !== undefined) {
      const { uid, gid } = await lstat(join(home.store, path));
      await fs.setAttributes(join(dir, path), { mode, ...(isRoot ? { owner: { uid, gid } } : {}) });
    }
    await fs.sync(join(dir, path));
  };
  for (const { path } of files) await give(path);
  for (const { path } of directories.toReversed()) await give(path);
}

/** A database that is written anew is there twice for a while. */
async function assertRoom(context: Context, { scan, action }: StoppedStore): Promise<void> {
  const { home, diskSpace } = context;
  const largest = scan.files.reduce((most, { size }) => Math.max(most, size), 0);
  const needed = totalBytes(scan.files) + largest;
  const { freeBytes } = await diskSpace(home.store);
  if (freeBytes >= needed + spareBytes) return;
  throw new SyncAgentError(
    'DISK_FULL',
    `Cannot ${action} "${home.store}": a copy of it needs ${needed} bytes and ${spareBytes} that stay free, ${freeBytes} are free`,
    { remedy: 'Free some space there' },
  );
}

/** For an error that says that the disk is full, while the store is as it was. */
export async function diskFull(
  { home, diskSpace }: Context,
  action: string,
  cause: unknown,
): Promise<SyncAgentError> {
  const { freeBytes } = await diskSpace(home.store);
  return new SyncAgentError(
    'DISK_FULL',
    `Cannot ${action} "${home.store}": ${messageOf(cause)}; ${freeBytes} bytes are free there, and the store is as it was`,
    { remedy: 'Free some space there, or raise the quota, and run it again', cause },
  );
}
