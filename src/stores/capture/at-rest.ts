import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, isSyncAgentError } from '../../platform/errors.ts';
import type { AtRestOptions, StoreAtRest, StoreSeen } from '../adapter.ts';
import { fingerprint, isFresh, isSettled, tickMs } from '../content/fingerprint.ts';
import { entryOf, sameVersion, scanStore, statFileNow } from '../content/scan.ts';
import type { FileEntry } from '../content/scan.ts';
import { isInWalMode } from '../sqlite/sqlite-file.ts';
import type { CaptureKind } from '../store-kind.ts';
import { raiseFence } from './fence.ts';

/**
 * Finds out whether a store can be read where it lies, without a copy. Undefined if somebody works in it, or may; the caller has
 * made sure that nobody is seen to have it open. What must hold:
 *
 * - Each file and directory is older than a timestamp tick. So a later write shows in the file's times.
 * - No database has a journal or a log, nor would get one from a reader (WAL mode).
 * - For an instant no transaction was open in any database. So none began before the look and ends unseen.
 * - No index is in the middle of a persist.
 */
export async function lookAtRest(
  dir: string,
  kind: CaptureKind,
  { seen, ...options }: AtRestOptions,
): Promise<StoreAtRest | undefined> {
  const { clock, exclude } = options;
  const look = async (): Promise<StoreSeen> => {
    const lookedAtMs = clock.now();
    return { scan: await scanStore(dir, exclude), lookedAtMs };
  };
  let first = seen ?? (await look());
  if (!isQuiet(first)) {
    // Something was written just before. Likely nobody goes on.
    // Timers may end a millisecond early.
    const untilMs = first.lookedAtMs + tickMs + 5;
    await clock.sleep(Math.max(0, untilMs - clock.now()), { signal: options.signal });
    first = await look();
  }
  const databases = await databasesAtRest(dir, kind, { ...options, ...first });
  return databases && { scan: first.scan, ...follow(databases, fingerprint(first.scan)) };

  function follow(files: readonly FileEntry[], digest: string): Omit<StoreAtRest, 'scan'> {
    return {
      letPass: () => files.every((file) => isVersion(join(dir, file.path), file)),
      isUntouched: async () => {
        const { scan } = await look();
        return fingerprint(scan) === digest && (await areIdle(dir, files, options));
      },
    };
  }
}

/** The databases of a store in which nobody works. */
async function databasesAtRest(
  dir: string,
  kind: CaptureKind,
  options: Omit<AtRestOptions, 'seen'> & StoreSeen,
): Promise<readonly FileEntry[] | undefined> {
  const { scan, clock, unfinishedMs } = options;
  const { files, oddities } = scan;
  if (oddities.length > 0 || !isQuiet(options)) return undefined;
  try {
    const paths = new Set(await kind.findDatabases(dir, scan));
    const isBeside = ({ path }: FileEntry): boolean => paths.has(path.replace(/-(journal|wal|shm)$/, ''));
    const databases = files.filter(({ path }) => paths.has(path));
    if (files.some((file) => !paths.has(file.path) && isBeside(file))) return undefined;
    if (databases.some(({ path }) => isInWalMode(join(dir, path)))) return undefined;
    const others = files.filter(({ path }) => !paths.has(path));
    const { active, stalled } = kind.unfinishedWrites(others, clock.now(), unfinishedMs);
    if (active.length > 0 || stalled.length > 0) return undefined;
    return (await areIdle(dir, databases, options)) ? databases : undefined;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Whether no transaction is open in the databases, and they are as they were found. */
async function areIdle(
  dir: string,
  databases: readonly FileEntry[],
  { clock, signal }: Pick<AtRestOptions, 'clock' | 'signal'>,
): Promise<boolean> {
  const paths = databases.map(({ path }) => path);
  try {
    const fence = await raiseFence(dir, paths, { clock, signal, deadline: clock.monotonic(), timeoutMs: 0 });
    try {
      // No descriptor of a database may be closed under the fence, so this looks without opening.
      const areSame = databases.every((file) => isSameFile(statFileNow(dir, file.path), file));
      return areSame && fence.unfenced.length === 0;
    } finally {
      fence.release();
    }
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || isSyncAgentError(error, 'BUSY')) return false;
    throw error;
  }
}

/** Whether a later write to any file or directory would show. */
const isQuiet = ({ scan, lookedAtMs }: StoreSeen): boolean =>
  isSettled(scan.files, lookedAtMs) && !scan.directories.some((each) => isFresh(each, lookedAtMs));

const isSameFile = (a: FileEntry | undefined, b: FileEntry): boolean => a !== undefined && sameVersion(a, b);

/** Closing the descriptor ends every lock that this process holds on the file (fcntl(2)). */
function isVersion(path: string, file: FileEntry): boolean {
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return false;
  }
  try {
    return isSameFile(entryOf(file.path, fstatSync(descriptor, { bigint: true })), file);
  } finally {
    closeSync(descriptor);
  }
}
