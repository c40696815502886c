import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { SyncAgentError, errnoOf, throwIfAborted } from '../errors.ts';
import { raiseFence } from './fence.ts';
import type { Fence } from './fence.ts';
import { isSettled } from './fingerprint.ts';
import { openImage } from './image.ts';
import type { Image } from './image.ts';
import { sameVersion, scanWholeStore } from './scan.ts';
import type { FileEntry, ScanResult } from './scan.ts';
import type { Capture, CaptureOptions } from './store-adapter.ts';

/** What a kind of store adds to the one way of capturing. */
export interface CaptureKind {
  /** The SQLite databases among the files, sorted. */
  findDatabases(dir: string, scan: ScanResult): Promise<readonly string[]>;
  /** Whether no multi-file write that SQLite's locks do not cover is under way, as far as times tell. */
  isResting(files: readonly FileEntry[], nowMs: number): boolean;
}

/**
 * Takes an image that equals the store at one instant:
 *
 * 1. Copy everything while writers go on: nothing of it is believed yet.
 * 2. Wait until files outside SQLite's protection rest, then raise the fence: no transaction can commit.
 * 3. Look at all files (A); bring the copies up to date; look again (B).
 * 4. Lower the fence. If A = B, the image is the store between the two looks. Else begin again, a little more patient.
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
  const { clock, signal } = options;
  const deadline = clock.monotonic() + options.timeoutMs;
  let heldMs = 0;
  let longestHoldMs = 0;
  let lookedAtMs = 0;
  const image = openImage(options.fs, dir, target);
  try {
    for (let attempts = 1; ; attempts += 1) {
      throwIfAborted(signal, 'Capture');
      if (attempts > 1 && clock.monotonic() > deadline) throw neverQuiet(dir, options.timeoutMs);
      const databases = await prepare(dir, kind, image, options);
      // Files vanish while their owner works. That our own directory did would look the same until the deadline.
      await lstat(target);
      if (databases === undefined) continue;
      // Writers are not held back for what is not theirs to end.
      const patienceMs = Math.max(0, deadline - clock.monotonic());
      if (!(await untilResting(dir, kind, { ...options, patienceMs }))) continue;

      const fence = await raiseFence(
        databases.map((path) => join(dir, path)),
        { deadline, clock, signal },
      );
      let source: ScanResult | undefined;
      try {
        lookedAtMs = clock.now();
        source = await settle(dir, kind, image, databases, { ...options, attempts, fence });
      } finally {
        const held = databases.length === 0 ? 0 : (fence?.release() ?? 0);
        heldMs += held;
        longestHoldMs = Math.max(longestHoldMs, held);
        image.closeDatabases();
      }
      if (source !== undefined) {
        const walPaths = new Set(databases.map((path) => `${path}-wal`));
        if (source.files.some((file) => walPaths.has(file.path))) await foldWal(options, target, databases);
        return {
          source: { ...source, files: source.files.filter((file) => !walPaths.has(file.path)) },
          fingerprinted: source,
          lookedAtMs,
          heldMs,
          longestHoldMs,
          attempts,
        };
      }
      await clock.sleep(Math.min(25 * attempts, 250), { signal });
    }
  } finally {
    image.closeDatabases();
  }
}

/** Step 1; resolves to the databases. Undefined when a file vanished under our hands: look again. */
async function prepare(
  dir: string,
  kind: CaptureKind,
  image: Image,
  { clock, exclude }: CaptureOptions,
): Promise<readonly string[] | undefined> {
  const nowMs = clock.now();
  const scan = await scanWholeStore(dir, exclude);
  try {
    const databases = await kind.findDatabases(dir, scan);
    await image.prepare(contentOf(scan, databases), databases, nowMs);
    return databases;
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
    return undefined;
  }
}

interface SettleOptions extends CaptureOptions {
  readonly attempts: number;
  readonly fence: Fence | undefined;
}

/** Step 3. Undefined when the store moved, or when too much is left to copy to keep writers waiting for it. */
async function settle(
  dir: string,
  kind: CaptureKind,
  image: Image,
  databases: readonly string[],
  options: SettleOptions,
): Promise<ScanResult | undefined> {
  const patienceMs = Math.min(100 * options.attempts, 1000);
  if (!(await untilResting(dir, kind, { ...options, patienceMs }))) return undefined;
  const scan = await scanWholeStore(dir, options.exclude);
  if (options.fence === undefined && hasHotJournal(scan, databases)) return undefined;
  const before = contentOf(scan, databases);
  const budgetBytes = 32 * 1024 * 1024 * 2 ** Math.min(options.attempts - 1, 10);
  if (image.missingBytes(before) > budgetBytes) return undefined;
  const nowMs = options.clock.now();
  await image.settle(before, nowMs);
  // The fence stands for what it covers; the rest must be old enough for its times to prove anything.
  const covered = options.fence === undefined ? [] : databases.flatMap((path) => [path, `${path}-wal`]);
  const others = before.files.filter((file) => !covered.includes(file.path));
  if (!isSettled(others, nowMs)) return undefined;
  const after = contentOf(await scanWholeStore(dir, options.exclude), databases);
  return sameScan(before, after) ? before : undefined;
}

async function untilResting(
  dir: string,
  kind: CaptureKind,
  options: CaptureOptions & { readonly patienceMs: number },
): Promise<boolean> {
  const end = options.clock.monotonic() + options.patienceMs;
  for (;;) {
    const { files } = await scanWholeStore(dir, options.exclude);
    if (kind.isResting(files, options.clock.now())) return true;
    if (options.clock.monotonic() > end) return false;
    await options.clock.sleep(5, { signal: options.signal });
  }
}

/** The files that are content: not the databases' rollback journals and shared memory. Their `-wal` is. */
function contentOf(scan: ScanResult, databases: readonly string[]): ScanResult {
  const transient = new Set(databases.flatMap((path) => [`${path}-journal`, `${path}-shm`]));
  return { ...scan, files: scan.files.filter((file) => !transient.has(file.path)) };
}

function hasHotJournal(scan: ScanResult, databases: readonly string[]): boolean {
  const journals = new Set(databases.map((path) => `${path}-journal`));
  return scan.files.some((file) => journals.has(file.path) && file.size > 0);
}

function sameScan(a: ScanResult, b: ScanResult): boolean {
  return (
    a.files.length === b.files.length &&
    a.files.every((file, index) => {
      const other = b.files[index];
      return other !== undefined && file.path === other.path && sameVersion(file, other);
    }) &&
    JSON.stringify(a.directories) === JSON.stringify(b.directories)
  );
}

/** Moves what the copied `-wal` files hold into the copied databases, so that one file says it all. */
async function foldWal(options: CaptureOptions, target: string, databases: readonly string[]): Promise<void> {
  for (const path of databases) {
    const copy = join(target, path);
    const database = new Database(copy, { fileMustExist: true });
    try {
      database.pragma('wal_checkpoint(TRUNCATE)');
    } finally {
      database.close();
    }
    await options.fs.remove(`${copy}-wal`);
    await options.fs.remove(`${copy}-shm`);
  }
}

function neverQuiet(dir: string, timeoutMs: number): SyncAgentError {
  return new SyncAgentError(
    'BUSY',
    `Cannot capture "${dir}": its files kept changing for ${timeoutMs / 1000} s`,
    {
      remedy: 'Try again when less is written, or raise --capture-timeout',
    },
  );
}
