import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { makeSnapshotId } from '../../log/layout.ts';
import { totalBytes } from '../../log/manifest.ts';
import { isDiskFull } from '../../platform/disk-space.ts';
import { SyncAgentError, messageOf, throwIfAborted } from '../../platform/errors.ts';
import { stagedData, stagingRoot, storeExists } from '../../home/home.ts';
import { readJournal } from '../../home/journal.ts';
import { hasRollbackCopy } from '../../home/rollback-copies.ts';
import { readState } from '../../home/state.ts';
import { swapIn } from '../../home/swap.ts';
import type { SwapRequest } from '../../home/swap.ts';
import { fingerprint, isTransient, storeIdentity } from '../../stores/content/fingerprint.ts';
import { scanStore } from '../../stores/content/scan.ts';
import type { ScanResult } from '../../stores/content/scan.ts';
import { inPhase, newAttempt } from '../context.ts';
import type { Context } from '../context.ts';
import { spareBytes } from '../restore/disk-shortage.ts';

/** A store that nobody has open, as it was looked at. */
export interface StoppedStore {
  readonly scan: ScanResult;
  readonly fingerprint: string;
  /** In errors: repair, maintain. */
  readonly action: string;
}

export interface MendedCopyRequest {
  /** Number of rollback copies to keep. */
  readonly rollbackCopies: number;
  /** Changes the copy. False: it is not worth to be put in the place of the store. */
  readonly work: (dir: string) => Promise<boolean>;
}

/** What became of the copy. */
export interface Placed {
  /** Name of the copy of the store as it was. */
  readonly rollbackCopy: string | undefined;
}

/** BUSY if somebody has the store open, NOT_FOUND if there is none, REFUSED if it holds what cannot be copied. */
export async function lookAtStopped(context: Context, action: string): Promise<StoppedStore> {
  const { home } = context;
  if (!(await storeExists(home))) {
    throw new SyncAgentError('NOT_FOUND', `Cannot ${action} "${home.store}": there is no store`, {
      remedy: 'Check --store',
    });
  }
  await assertStopped(context, action);
  const scan = await scanStore(home.store, home.exclude);
  const [oddity] = scan.oddities;
  if (oddity !== undefined) {
    throw new SyncAgentError(
      'REFUSED',
      `Cannot ${action} "${home.store}": of "${oddity.path}", ${oddity.problem}`,
      {
        remedy: 'Move it out of the store',
      },
    );
  }
  return { scan, fingerprint: fingerprint(scan), action };
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
  const { home, fs, clock } = context;
  const { action, scan } = stopped;
  await assertRoom(context, stopped);
  const attempt = newAttempt();
  const dir = stagedData(home, attempt);
  try {
    await inPhase(context, 'capture', () => copyStore(context, scan, dir));
    await assertUntouched(context, stopped);
    if (!(await work(dir))) return undefined;
    await makeDurable(context, scan, dir);
    await assertUntouched(context, stopped);
    await assertStopped(context, action);
    const rollback = makeSnapshotId(clock.now(), clock.randomHex(4));
    const lineage = await keptLineage(context);
    await inPhase(context, 'swap', () =>
      swapIn(fs, home, {
        from: { type: 'staging', name: attempt },
        rollback,
        keepRollback: true,
        rollbackCopies,
        ...lineage,
      }),
    );
    return { rollbackCopy: (await hasRollbackCopy(home, rollback)) ? rollback : undefined };
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

/** Nothing is known of a store that somebody made anew. */
async function keptLineage({
  home,
  remoteId,
}: Context): Promise<Pick<SwapRequest, 'location' | 'parent' | 'settled' | 'isCommitDue' | 'continues'>> {
  const local = await readState(home);
  const isOurs = local !== undefined && local.identity === (await storeIdentity(home.store));
  const remotes = isOurs ? local.remotes : {};
  const { parent = null, settled = [] } = remotes[remoteId] ?? {};
  const continues = Object.fromEntries(
    Object.entries(remotes).map(([name, record]) => [
      name,
      {
        ...record,
        fingerprint: null,
        pending: record.pending === null ? null : { ...record.pending, fingerprint: null },
      },
    ]),
  );
  return { location: remoteId, parent, settled, isCommitDue: true, continues };
}

async function assertStopped({ home, findStoreUsers }: Context, action: string): Promise<void> {
  const users = await findStoreUsers(home.store);
  if (users.length === 0) return;
  const names = users.map(({ pid, command }) => `pid ${pid} (${command.slice(0, 120)})`).join(', ');
  throw new SyncAgentError('BUSY', `Cannot ${action} "${home.store}": ${names} has it open`, {
    remedy: 'Stop it first',
  });
}

async function assertUntouched({ home }: Context, stopped: StoppedStore): Promise<void> {
  if (fingerprint(await scanStore(home.store, home.exclude)) === stopped.fingerprint) return;
  throw new SyncAgentError(
    'BUSY',
    `Cannot ${stopped.action} "${home.store}": somebody began to write to it`,
    {
      remedy: 'Stop it first',
    },
  );
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
