import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { errnoOf, throwIfAborted } from '../../platform/errors.ts';
import { isOpenFilesLimit, tooManyOpenFiles } from '../../platform/open-files.ts';
import type { Capture, CaptureOptions } from '../adapter.ts';
import type { CaptureKind } from '../store-kind.ts';
import { catchUp } from './catch-up.ts';
import type { CaughtUp } from './catch-up.ts';
import { catchUpAround } from './catch-up-around.ts';
import type { Unconfirmed } from './catch-up-around.ts';
import { ChangeTally } from './change-tally.ts';
import { openComparer } from './delta/comparer.ts';
import { raiseFence } from './fence.ts';
import type { Fence } from './fence.ts';
import { openImage } from './image.ts';
import { listingsOf } from './newcomers.ts';
import { findDatabasesOnce, lookAt, prepare } from './prepare.ts';
import type { Look } from './prepare.ts';

/** So often the files around the databases are left alone under the fence. */
const attemptsAround = 2;

/**
 * Takes an image that equals the store at one instant:
 *
 * 1. Copy everything while writers go on, and wait until files outside SQLite's protection rest (`prepare`). The last look
 *    at all files is P.
 * 2. Raise the fence: no transaction can commit. Bring the databases up to date, and a few files that may be written now. Lower
 *    the fence.
 * 3. Look at all files (Q). If none of the others changed from P to Q, the image is the store at an instant under the fence
 *    (`catchUpAround`).
 * 4. If something changed twice, look at all files under the fence (`catchUp`): there the application's unfinished work comes to
 *    an end. If it does not, begin again with what was copied, a little more patient.
 *
 * A copy made before the fence counts only if its file has not changed since, and only if that file was older than a
 * timestamp tick when copied. Where nobody can be held back (no write permission) the same two looks decide alone.
 */
export async function capture(
  dir: string,
  target: string,
  kind: CaptureKind,
  options: CaptureOptions,
): Promise<Capture> {
  const { fs, clock, signal, timeoutMs } = options;
  const deadline = clock.monotonic() + timeoutMs;
  const tally = new ChangeTally();
  const held: number[] = [];
  const comparer = openComparer();
  const image = openImage(dir, target, { fs, clock, comparer, signal });
  const findDatabases = findDatabasesOnce(dir, kind);
  let before: Look | undefined;
  let databases: readonly string[] = [];
  try {
    for (let attempts = 1; ; attempts += 1) {
      throwIfAborted(signal, 'Capture');
      if (attempts > 1) {
        if (clock.monotonic() > deadline) throw tally.error(dir, timeoutMs);
        await clock.sleep(Math.min(25 * (attempts - 1), 250), { signal });
      }
      const subject = { dir, kind, image, tally, findDatabases };
      const prepared = await prepare(subject, { ...options, deadline, before });
      before = undefined;
      // Files vanish while an application works. If our own directory vanished, it would look the same until the deadline.
      await lstat(target);
      if (prepared === undefined) continue;
      ({ databases } = prepared);
      const listings = listingsOf(dir, prepared.look, { databases, exclude: options.exclude });
      const fence = await raise(dir, databases, { ...options, deadline });
      let caughtUp: CaughtUp | undefined;
      let unconfirmed: Unconfirmed | undefined;
      try {
        if (fence === undefined) continue;
        const patienceMs = Math.min(150 * attempts, 2000);
        const budgetBytes = 32 * 1024 * 1024 * 2 ** Math.min(attempts - 1, 10);
        if (prepared.isHeld && attempts <= attemptsAround) {
          unconfirmed = await catchUpAround(
            { dir, image, prepared, listings, fence, tally },
            { ...options, patienceMs, budgetBytes },
          );
        } else {
          caughtUp = await catchUp(
            { dir, kind, image, databases, fence, tally },
            { ...options, patienceMs, budgetBytes },
          );
        }
      } finally {
        held.push(fence?.release() ?? 0);
      }
      await image.finish();
      image.closeDatabases();
      if (unconfirmed !== undefined) {
        before = await lookAt(dir, options);
        caughtUp = await unconfirmed.confirm(before);
      }
      if (caughtUp !== undefined) {
        return {
          ...(await fold(caughtUp, target, databases, options)),
          heldMs: held.reduce((sum, ms) => sum + ms, 0),
          longestHoldMs: Math.max(...held),
          attempts,
          unfenced: fence.unfenced.filter(({ reason }) => reason === 'denied').map(({ path }) => path),
        };
      }
    }
  } catch (error) {
    throw isOpenFilesLimit(error) ? tooManyOpenFiles(dir, databases.length, error) : error;
  } finally {
    image.closeDatabases();
    await comparer.close();
  }
}

/** Undefined when a database vanished meanwhile. */
async function raise(
  dir: string,
  databases: readonly string[],
  options: CaptureOptions & { readonly deadline: number },
): Promise<Fence | undefined> {
  try {
    return await raiseFence(dir, databases, options);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
    return undefined;
  }
}

/** Moves the contents of copied `-wal` files into the copied databases, so that each database is one file. */
async function fold(
  { source, lookedAtMs }: CaughtUp,
  target: string,
  databases: readonly string[],
  { fs }: CaptureOptions,
): Promise<Pick<Capture, 'source' | 'fingerprinted' | 'lookedAtMs'>> {
  const present = new Set(source.files.map((file) => file.path));
  const folded = new Set<string>();
  for (const path of databases.filter((each) => present.has(`${each}-wal`))) {
    const copy = join(target, path);
    // Of a damaged database the log is left for `inspect` to judge.
    if (!checkpoint(copy)) continue;
    await fs.remove(`${copy}-wal`);
    await fs.remove(`${copy}-shm`);
    folded.add(`${path}-wal`);
  }
  const files = source.files.filter((file) => !folded.has(file.path));
  return { source: { ...source, files }, fingerprinted: source, lookedAtMs };
}

function checkpoint(path: string): boolean {
  const database = new Database(path, { fileMustExist: true });
  try {
    // An image that a power cut spoils is thrown away.
    database.pragma('synchronous = off');
    database.pragma('wal_checkpoint(TRUNCATE)');
    return true;
  } catch (error) {
    if (!(error instanceof Database.SqliteError) || !/^SQLITE_(NOTADB|CORRUPT)/.test(error.code)) throw error;
    return false;
  } finally {
    database.close();
  }
}
