import { lstat, mkdir, mkdtemp, readdir, rm, rmdir, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { isDiskFull } from '../../platform/disk-space.ts';
import { SyncAgentError, messageOf } from '../../platform/errors.ts';
import { locateHome, scratchRoot, storeExists } from '../../home/home.ts';
import type { Home } from '../../home/home.ts';
import { readJournal } from '../../home/journal.ts';
import type { Manifest } from '../../log/manifest.ts';
import type { Capture, StoreAdapter } from '../../stores/adapter.ts';
import { fingerprint } from '../../stores/content/fingerprint.ts';
import { scanStore } from '../../stores/content/scan.ts';
import type { Context } from '../context.ts';
import { lastKnownManifest } from '../known-manifests.ts';
import { placeSnapshotAside } from '../restore/restore-to.ts';
import type { AsideOptions } from '../restore/restore-to.ts';
import type { AppliedLog } from '../continuous/apply-log.ts';
import { adapterForCapture } from '../soundness/judge-store.ts';

/** Where records, or a verdict, are to come from: the context's store, or a snapshot of its remote. */
export type SourceName =
  | { readonly type: 'store' }
  | {
      readonly type: 'snapshot';
      readonly snapshot: string | undefined;
      /** As in `AsideOptions`. */
      readonly log?: AsideOptions['log'];
    };

/** A store that nobody writes, to be read. */
export interface StoreSource {
  readonly dir: string;
  readonly adapter: StoreAdapter;
  /** `store`: the original, which must not be changed by a byte. `image`: a copy of one that is in use. */
  readonly kind: 'store' | 'image' | 'snapshot';
  /** A directory for the reader's own files, of which nothing stays. SQLite recovers copies of crashed databases there. */
  readonly scratch: string;
  /** What the store was last known to hold, or the snapshot's own manifest. */
  readonly known: Manifest | undefined;
  /** What of a snapshot's log is in it. */
  readonly log?: AppliedLog | undefined;
  /** Takes another image in place of this one, more patiently. Only of a store that is in use. */
  readonly retake?: () => Promise<void>;
  /** What the last image was taken of, and when, by this host's clock. */
  readonly captured?: () => CapturedSource;
}

export interface CapturedSource extends Capture {
  /** Shortly before the captured instant, milliseconds since the epoch. */
  readonly capturedAtMs: number;
}

export interface SourceOptions {
  /** Takes an image of a store that nobody has open, too: nothing that happens to the store then matters. */
  readonly asImage?: boolean;
}

/** An index that looks half written is waited for so long: at first, and when the image was not sound. */
const patienceMs = { first: 500, again: 30_000 };

/**
 * Lets `work` read a store that stands still. One that nobody has open is read where it lies, and must be the same afterwards: BUSY if
 * somebody wrote meanwhile. One that is in use, or has a database in WAL mode, is captured first, without disturbing it. A snapshot is restored into a
 * scratch directory. Needs no lock and leaves nothing. NOT_FOUND if there is no store.
 */
export async function withStoreSource<T>(
  context: Context,
  name: SourceName,
  work: (source: StoreSource) => Promise<T>,
  { asImage = false }: SourceOptions = {},
): Promise<T> {
  const { home } = context;
  return withScratch(home, async (scratch) => {
    if (name.type === 'snapshot') return await readSnapshot(context, { scratch, ...name, work });
    await assertWhole(home);
    const users = await context.findStoreUsers(home.store);
    const adapter = await context.detectAdapter(home.store);
    const mayLie = !asImage && users.length === 0 && !(await adapter.hasReadersFiles(home.store));
    return (mayLie ? readAsItLies : readImage)(context, { scratch, work });
  });
}

/** Lends `work` a private directory, beside the store if that can be written, of which nothing stays. */
export async function withScratch<T>(home: Home, work: (scratch: string) => Promise<T>): Promise<T> {
  const scratch = await makeScratch(home);
  try {
    return await work(scratch);
  } finally {
    await rm(scratch, { recursive: true, force: true });
    await forsake(home);
  }
}

interface Reading<T> {
  readonly scratch: string;
  readonly work: (source: StoreSource) => Promise<T>;
}

async function readAsItLies<T>(context: Context, { scratch, work }: Reading<T>): Promise<T> {
  const { home } = context;
  const known = await lastKnownManifest(context);
  const adapter = await adapterForCapture(context, known);
  const look = async (): Promise<string> => fingerprint(await scanStore(home.store, home.exclude));
  const seen = await look();
  await adapter.reading?.assertKnown(home.store, { scratch });
  const result = await work({ dir: home.store, adapter, kind: 'store', scratch, known });
  if ((await look()) === seen) return result;
  throw new SyncAgentError('BUSY', `Cannot read "${home.store}": somebody began to write to it`, {
    remedy: 'Run it again: a store that is in use is read from a copy',
  });
}

async function readImage<T>(context: Context, { scratch, work }: Reading<T>): Promise<T> {
  const { home, fs, clock, signal, settings } = context;
  const known = await lastKnownManifest(context);
  const adapter = await adapterForCapture(context, known);
  const dir = join(scratch, 'image');
  const take = async (unfinishedMs: number): Promise<CapturedSource> => {
    await rm(dir, { recursive: true, force: true });
    await mkdir(dir);
    const capturedAtMs = clock.now();
    try {
      const capture = await adapter.capture(home.store, dir, {
        timeoutMs: settings.captureTimeoutMs,
        unfinishedMs,
        clock,
        fs,
        exclude: home.exclude,
        signal,
      });
      return { ...capture, capturedAtMs };
    } catch (error) {
      throw isDiskFull(error) ? await noRoom(context, scratch, error) : error;
    }
  };
  let captured = await take(patienceMs.first);
  await adapter.reading?.assertKnown(dir, { scratch });
  const retake = async (): Promise<void> => {
    captured = await take(patienceMs.again);
  };
  return work({ dir, adapter, kind: 'image', scratch, known, retake, captured: () => captured });
}

async function readSnapshot<T>(
  context: Context,
  { scratch, snapshot, log: part, work }: Reading<T> & Extract<SourceName, { type: 'snapshot' }>,
): Promise<T> {
  const home = await locateHome(join(scratch, 'snapshot'));
  const { manifest: known, log } = await placeSnapshotAside(
    { ...context, home },
    snapshot === undefined ? {} : { snapshot, log: part },
  );
  const adapter = context.adapterNamed(known.adapter);
  await adapter.reading?.assertKnown(home.store, { scratch });
  return work({ dir: home.store, adapter, kind: 'snapshot', scratch, known, log });
}

async function assertWhole(home: Home): Promise<void> {
  if (!(await storeExists(home))) {
    throw new SyncAgentError('NOT_FOUND', `Cannot read "${home.store}": there is no store`, {
      remedy: 'Check the path, or run "sync-agent restore"',
    });
  }
  if ((await readJournal(home)) === undefined) return;
  throw new SyncAgentError('STORE_CORRUPT', `Cannot read "${home.store}": a restore was interrupted in it`, {
    remedy: 'Run "sync-agent restore" to finish it',
  });
}

/** Beside the store, where images are made without a copy of each byte if the disk can; else where the system keeps such files. */
async function makeScratch(home: Home): Promise<string> {
  const root = scratchRoot(home);
  try {
    await mkdir(root, { recursive: true });
    await sweep(root);
    return await mkdtemp(join(root, `${process.pid}-`));
  } catch {
    return mkdtemp(join(tmpdir(), 'sync-agent-'));
  }
}

/** A pid, and what mkdtemp adds. */
const ownName = /^[0-9]+-[A-Za-z0-9]{6}$/;
const abandonedMs = 60 * 60 * 1000;

/** Removes what a reader left that was killed. */
async function sweep(root: string): Promise<void> {
  if (!(await lstat(root)).isDirectory()) return;
  for (const name of (await readdir(root)).filter((each) => ownName.test(each))) {
    const path = join(root, name);
    const stats = await stat(path).catch(() => undefined);
    if (stats === undefined || isAlive(Number.parseInt(name, 10)) || Date.now() - stats.mtimeMs < abandonedMs)
      continue;
    await rm(path, { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Removes the directories that only `makeScratch` made: who looks at a strange store leaves nothing beside it. */
async function forsake(home: Home): Promise<void> {
  await rmdir(scratchRoot(home)).catch(() => undefined);
  const isStrange = (await readdir(home.dir).catch(() => ['?'])).length === 0;
  if (isStrange) await rmdir(home.dir).catch(() => undefined);
}

async function noRoom(
  { home, diskSpace }: Context,
  scratch: string,
  cause: unknown,
): Promise<SyncAgentError> {
  const at = dirname(scratch);
  const { freeBytes } = await diskSpace(at);
  return new SyncAgentError(
    'DISK_FULL',
    `Cannot read "${home.store}": an image of it does not fit at "${at}", where ${freeBytes} bytes are free: ${messageOf(cause)}`,
    {
      remedy: 'Free some space there. "check" and "inspect" read a store that nobody has open where it lies',
      cause,
    },
  );
}
