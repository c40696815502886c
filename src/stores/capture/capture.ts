import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { errnoOf, throwIfAborted } from '../../platform/errors.ts';
import { raiseFence } from './fence.ts';
import type { Fence } from './fence.ts';
import { openImage } from './image.ts';
import type { Image } from './image.ts';
import { contentOf } from './compare-scans.ts';
import { isOpenFilesLimit, tooManyOpenFiles } from '../../platform/open-files.ts';
import { ChangeTally } from './change-tally.ts';
import { scanWholeStore } from '../content/scan.ts';
import type { FileEntry } from '../content/scan.ts';
import { catchUp, pathsOf } from './catch-up.ts';
import type { CaughtUp } from './catch-up.ts';
import type { Capture, CaptureOptions } from '../adapter.ts';
import { waitUntilQuiet } from './wait-until-quiet.ts';
import type { CaptureKind, UnfinishedWrites } from '../store-kind.ts';

/** A server that persists one index after the other pauses only once the fence holds it, so waiting longer is no use. */
const activeMs = 2000;
/** If fewer bytes are missing, they are copied under the fence. */
const worthCopyingBytes = 1024 * 1024;

/**
 * Takes an image that equals the store at one instant:
 *
 * 1. Copy everything while writers go on: nothing of it is believed yet.
 * 2. Wait until files outside SQLite's protection rest, then raise the fence: no transaction can commit.
 * 3. Look at all files (A); bring the copies up to date; look again (B). While A and B differ, bring what differs up to
 *    date, for a moment (`catchUp`).
 * 4. Lower the fence. If A = B, the image is the store between the two looks. Else begin again with what was copied, a
 *    little more patient.
 *
 * A copy made before the fence counts only if its file has not changed since, and only if that file was older than a
 * timestamp tick when copied. Where nobody can be held back (no write permission) the same A = B decides alone.
 */
export async function capture(
  dir: string,
  target: string,
  kind: CaptureKind,
  options: CaptureOptions,
): Promise<Capture> {
  const { clock, signal, timeoutMs } = options;
  const deadline = clock.monotonic() + timeoutMs;
  const tally = new ChangeTally();
  const held: number[] = [];
  const image = openImage(options.fs, dir, target);
  let databases: readonly string[] = [];
  try {
    for (let attempts = 1; ; attempts += 1) {
      throwIfAborted(signal, 'Capture');
      if (attempts > 1) {
        if (clock.monotonic() > deadline) throw tally.error(dir, timeoutMs);
        await clock.sleep(Math.min(25 * (attempts - 1), 250), { signal });
      }
      const found = await prepare(dir, kind, image, { ...options, deadline, tally });
      // Files vanish while an application works. If our own directory vanished, it would look the same until the deadline.
      await lstat(target);
      if (found === undefined) continue;
      databases = found;
      const fence = await raise(dir, databases, { ...options, deadline });
      let caughtUp: CaughtUp | undefined;
      try {
        if (fence === undefined) continue;
        const patienceMs = Math.min(150 * attempts, 2000);
        const budgetBytes = 32 * 1024 * 1024 * 2 ** Math.min(attempts - 1, 10);
        caughtUp = await catchUp(
          { dir, kind, image, databases, fence, tally },
          { ...options, patienceMs, budgetBytes },
        );
      } finally {
        held.push(fence?.release() ?? 0);
        image.closeDatabases();
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
  }
}

interface PrepareOptions extends CaptureOptions {
  readonly deadline: number;
  readonly tally: ChangeTally;
}

/** Steps 1 and 2. Resolves to the databases; undefined if the store changed too much meanwhile: look again. */
async function prepare(
  dir: string,
  kind: CaptureKind,
  image: Image,
  options: PrepareOptions,
): Promise<readonly string[] | undefined> {
  const { clock, signal, deadline, tally } = options;
  try {
    const copyingAtMs = clock.now();
    const scan = await scanWholeStore(dir, options.exclude);
    const databases = await kind.findDatabases(dir, scan);
    await image.prepare(contentOf(scan, databases), databases, copyingAtMs);

    const { files } = await scanWholeStore(dir, options.exclude);
    // Writers are not held back for a write that does not go on: they cannot end it.
    const stalledMs = Math.max(0, deadline - clock.monotonic());
    const patience = { clock, signal, activeMs: Math.min(activeMs, stalledMs), stalledMs, pauseMs: 250 };
    const judge = (some: readonly FileEntry[], nowMs: number): UnfinishedWrites =>
      kind.unfinishedWrites(some, nowMs, options.unfinishedMs);
    const moving = await waitUntilQuiet(dir, files, judge, patience);
    tally.note(pathsOf(moving));
    if (moving.stalled.length > 0) return undefined;

    const againAtMs = clock.now();
    const again = contentOf(await scanWholeStore(dir, options.exclude), databases);
    if (image.missingBytes(again) > worthCopyingBytes) await image.update(again, againAtMs);
    return databases;
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
    return undefined;
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
    database.pragma('wal_checkpoint(TRUNCATE)');
    return true;
  } catch (error) {
    if (!(error instanceof Database.SqliteError) || !/^SQLITE_(NOTADB|CORRUPT)/.test(error.code)) throw error;
    return false;
  } finally {
    database.close();
  }
}
