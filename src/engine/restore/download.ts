import { createHash } from 'node:crypto';
import { lstat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { concurrently } from '../../platform/concurrently.ts';
import { isSyncAgentError, SyncAgentError, throwIfAborted } from '../../platform/errors.ts';
import { readFileRange } from '../../remotes/body.ts';
import type { ByteRange } from '../../remotes/remote.ts';
import { currentKey, historyKey } from '../../log/layout.ts';
import type { Manifest, ManifestFile } from '../../log/manifest.ts';
import type { FileSystem, WritableFile } from '../../platform/file-system.ts';
import { scanStore } from '../../stores/content/scan.ts';
import type { Context } from '../context.ts';
import { hashFile } from '../backup/hash-file.ts';

/** Larger files come in ranges of this size, several at a time. */
const rangeBytes = 16 * 1024 * 1024;
/** A first mismatch may be the network's; a second one is the object's. */
const downloadTries = 2;

export interface DownloadTarget {
  readonly manifest: Manifest;
  /** An existing, private directory. */
  readonly dir: string;
  /** A store whose files are taken instead, where they are right. */
  readonly reuseFrom: string | undefined;
  readonly onBytes: (count: number) => void;
}

export interface Downloaded {
  readonly downloadedBytes: number;
  readonly reusedBytes: number;
}

/**
 * Builds a snapshot's files below `dir`, each verified by its SHA-256; `syncSnapshot` puts them on disk. Rejects with
 * SNAPSHOT_CORRUPT naming the object that is missing or damaged, with DISK_FULL when the disk or a quota is.
 */
export async function downloadSnapshot(context: Context, target: DownloadTarget): Promise<Downloaded> {
  const { fs, settings } = context;
  const { manifest, dir } = target;
  let reusedBytes = 0;
  let downloadedBytes = 0;
  const directories = directoriesOf(manifest);
  for (const directory of directories) await fs.makeDirectory(join(dir, directory), { mode: 0o755 });
  await concurrently(
    manifest.files,
    { concurrency: settings.concurrency, signal: context.signal },
    async (file, signal) => {
      const each = { ...context, signal };
      const path = join(dir, file.path);
      if (
        target.reuseFrom !== undefined &&
        (await reuse(each, join(target.reuseFrom, file.path), path, file))
      ) {
        reusedBytes += file.size;
        target.onBytes(file.size);
      } else {
        await downloadFile(each, { manifest, file, path, onBytes: target.onBytes });
        downloadedBytes += file.size;
      }
    },
  );
  await setDirectoryModes(fs, manifest, dir);
  const found = (await scanStore(dir)).files.length;
  if (found !== manifest.files.length) throw namesCollide(manifest, dir, found);
  return { downloadedBytes, reusedBytes };
}

/** Of all directories below the root. */
export async function setDirectoryModes(fs: FileSystem, manifest: Manifest, dir: string): Promise<void> {
  const modes = new Map(manifest.directories?.map(({ path, mode }) => [path, mode]));
  for (const path of directoriesOf(manifest)) {
    if (path !== '') await setDirectoryMode(fs, join(dir, path), modes.get(path));
  }
}

/**
 * The owner keeps all rights, whatever the snapshot says: without them the directory could neither be moved nor, one
 * day, be removed. Bits beyond the permissions stay as they are: volumes hand their group on by one of them.
 */
export async function setDirectoryMode(
  fs: FileSystem,
  path: string,
  mode: number | undefined,
): Promise<void> {
  if (mode === undefined) return;
  const present = (await lstat(path)).mode & 0o7777;
  const wanted = (present & 0o7000) | mode | 0o700;
  if (present !== wanted) await fs.setAttributes(path, { mode: wanted });
}

/** Makes a downloaded snapshot survive a power cut: files first, then directories from the leaves up. */
export async function syncSnapshot(context: Context, manifest: Manifest, dir: string): Promise<void> {
  const { fs, settings, signal } = context;
  const sync = async (path: string, either = signal): Promise<void> => {
    throwIfAborted(either, 'Restore');
    await fs.sync(join(dir, path));
  };
  await concurrently(manifest.files, { concurrency: settings.concurrency, signal }, (file, either) =>
    sync(file.path, either),
  );
  for (const directory of directoriesOf(manifest).toReversed()) await sync(directory);
}

/** All directories of a snapshot, parents first, with '' for its root. */
export function directoriesOf(manifest: Manifest): readonly string[] {
  const found = new Set<string>();
  const add = (path: string): void => {
    if (found.has(path)) return;
    if (path !== '') add(parentOf(path));
    found.add(path);
  };
  for (const file of manifest.files) add(parentOf(file.path));
  for (const path of manifest.emptyDirectories) add(path);
  add('');
  return [...found];
}

export interface FileDownload {
  readonly manifest: Manifest;
  readonly file: ManifestFile;
  readonly path: string;
  readonly onBytes: (count: number) => void;
}

/** `key` is an object that should hold the file; by default the snapshot's. */
type ObjectDownload = Omit<FileDownload, 'path'> & { readonly key?: string };
type KeyedDownload = FileDownload & ObjectDownload;

const keyOf = ({ manifest, file, key }: Omit<ObjectDownload, 'onBytes'>): string =>
  key ?? historyKey(file.in ?? manifest.id, file.path);

/**
 * One file to a new path, verified, with its permissions and time. Not on disk before it is synced. Where the snapshot's
 * own object is missing or damaged, the current file may be right: its hash tells.
 */
export async function downloadFile(context: Context, download: FileDownload): Promise<void> {
  const { fs } = context;
  const { file, path } = download;
  await eitherObject(context, download, async (key) => {
    for (let tries = 1; ; tries += 1) {
      await fs.remove(path);
      const found = await fetchFile(context, { ...download, key }).catch((error: unknown) =>
        orAgain(error, tries),
      );
      if (found === file.sha256) break;
      if (tries === downloadTries) throw damaged({ ...download, key }, found);
    }
  });
  await fs.setAttributes(path, { mode: file.mode, mtimeMs: file.mtimeMs });
}

/** Reads what `downloadFile` would, without keeping it. */
export async function verifyDownload(context: Context, download: Omit<FileDownload, 'path'>): Promise<void> {
  await eitherObject(context, download, (key) => verifyObject(context, { ...download, key }));
}

async function eitherObject(
  context: Context,
  { manifest, file }: Omit<FileDownload, 'path'>,
  work: (key: string) => Promise<void>,
): Promise<void> {
  try {
    await work(keyOf({ manifest, file }));
  } catch (error) {
    if (!isSyncAgentError(error, 'SNAPSHOT_CORRUPT')) throw error;
    const current = currentKey(file.path);
    try {
      await work(current);
    } catch (second) {
      throw isSyncAgentError(second, 'SNAPSHOT_CORRUPT') ? error : second;
    }
    context.emit({
      type: 'warning',
      code: error.code,
      message: `${error.message}; the current file "${current}" is right, and was taken instead`,
      remedy: 'The next backup uploads what is missing; "sync-agent verify --all" tells what else is damaged',
    });
  }
}

/** Reads an object without keeping it, to know that it can be had before something depends on it. */
export async function verifyObject(context: Context, download: ObjectDownload): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    const hash = createHash('sha256');
    const found = await fetchRange(context, download, undefined, async (chunk) => {
      hash.update(chunk);
    }).then(
      () => hash.digest('hex'),
      (error: unknown) => orAgain(error, tries),
    );
    if (found === download.file.sha256) return;
    if (tries === downloadTries) throw damaged(download, found);
  }
}

/** A wrong length is repeated as a wrong hash is; an object that is missing is not. */
function orAgain(error: unknown, tries: number): string {
  if (tries < downloadTries && isSyncAgentError(error, 'SNAPSHOT_CORRUPT') && error.cause === undefined)
    return '';
  throw error;
}

async function fetchFile(context: Context, download: KeyedDownload): Promise<string> {
  const { file, path } = download;
  const target = await context.fs.openForWrite(path, { exclusive: true });
  try {
    return file.size <= rangeBytes
      ? await fetchSmall(context, download, target)
      : await fetchLarge(context, download, target);
  } finally {
    await target.close();
  }
}

async function fetchSmall(context: Context, download: KeyedDownload, target: WritableFile): Promise<string> {
  const hash = createHash('sha256');
  await fetchRange(context, download, undefined, async (chunk, position) => {
    hash.update(chunk);
    await target.write(chunk, position);
  });
  return hash.digest('hex');
}

async function fetchLarge(context: Context, download: KeyedDownload, target: WritableFile): Promise<string> {
  const { size } = download.file;
  const ranges = Array.from({ length: Math.ceil(size / rangeBytes) }, (_, index) => ({
    start: index * rangeBytes,
    end: Math.min((index + 1) * rangeBytes, size),
  }));
  const hash = createHash('sha256');
  const arrived = new Set<number>();
  let next = 0;
  let hashing = Promise.resolve();
  // Hashes from the page cache what has arrived without a gap, while later ranges are on their way.
  const hashOn = async (signal: AbortSignal): Promise<void> => {
    for (; arrived.has(next); next += 1) {
      const range = ranges[next];
      throwIfAborted(signal, 'Restore');
      if (range !== undefined)
        for await (const chunk of readFileRange(download.path, range)) hash.update(chunk);
    }
  };
  await concurrently(
    ranges,
    { concurrency: context.settings.concurrency, signal: context.signal },
    async (range, signal, index) => {
      await fetchRange({ ...context, signal }, download, range, (chunk, position) =>
        target.write(chunk, position),
      );
      arrived.add(index);
      hashing = hashing.then(() => hashOn(signal));
      await hashing;
    },
  );
  return hash.digest('hex');
}

async function fetchRange(
  context: Context,
  download: ObjectDownload,
  range: ByteRange | undefined,
  write: (chunk: Uint8Array, position: number) => Promise<void>,
): Promise<void> {
  const { remote, signal } = context;
  const { manifest, file, onBytes } = download;
  const key = keyOf(download);
  const expected = range === undefined ? file.size : range.end - range.start;
  let position = range?.start ?? 0;
  try {
    const { body, size } = await remote.get(key, { signal, ...(range === undefined ? {} : { range }) });
    if (size !== expected) throw wrongSize(key, expected, size);
    for await (const chunk of body) {
      throwIfAborted(signal, 'Restore');
      await write(chunk, position);
      position += chunk.byteLength;
      onBytes(chunk.byteLength);
    }
  } catch (error) {
    if (!isSyncAgentError(error, 'NOT_FOUND') || isBucketMissing(error)) throw error;
    throw new SyncAgentError(
      'SNAPSHOT_CORRUPT',
      `Cannot restore snapshot ${manifest.id}: object "${key}" is missing`,
      {
        cause: error,
      },
    );
  }
  if (position - (range?.start ?? 0) !== expected)
    throw wrongSize(key, expected, position - (range?.start ?? 0));
}

async function reuse(context: Context, from: string, to: string, file: ManifestFile): Promise<boolean> {
  const stats = await lstat(from).catch(() => undefined);
  if (stats === undefined || !stats.isFile() || stats.size !== file.size) return false;
  await context.fs.copy(from, to, { mode: file.mode });
  if ((await hashFile(to, file.size, context.signal)) !== file.sha256) {
    await context.fs.remove(to);
    return false;
  }
  await context.fs.setAttributes(to, { mtimeMs: file.mtimeMs });
  return true;
}

/** A file system that ignores case or composition takes two names for one, and the second file for the first. */
function namesCollide(manifest: Manifest, dir: string, found: number): SyncAgentError {
  return new SyncAgentError(
    'UNSUPPORTED',
    `Cannot restore snapshot ${manifest.id}: of its ${manifest.files.length} files "${dir}" holds ${found}, so that names differing only in case are one there`,
    { remedy: 'Restore to a file system that tells names apart by case' },
  );
}

function damaged(download: ObjectDownload, found: string): SyncAgentError {
  const { manifest, file } = download;
  const key = keyOf(download);
  return new SyncAgentError(
    'SNAPSHOT_CORRUPT',
    `Cannot restore snapshot ${manifest.id}: object "${key}" is damaged, expected sha256 ${file.sha256}, found ${found}`,
  );
}

function wrongSize(key: string, expected: number, found: number): SyncAgentError {
  return new SyncAgentError(
    'SNAPSHOT_CORRUPT',
    `Cannot restore "${key}": expected ${expected} bytes, found ${found}`,
  );
}

const isBucketMissing = (error: SyncAgentError): boolean =>
  error.cause instanceof Error && error.cause.name === 'NoSuchBucket';

const parentOf = (path: string): string => {
  const parent = dirname(path);
  return parent === '.' ? '' : parent;
};
