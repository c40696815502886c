import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { concurrently } from '../../../platform/concurrently.ts';
import { SyncAgentError, throwIfAborted } from '../../../platform/errors.ts';
import type { Manifest, ManifestFile } from '../../../log/manifest.ts';
import { scanStore } from '../../../stores/content/scan.ts';
import type { ContentFormat } from '../../../formats/content-format.ts';
import type { Context } from '../../context.ts';
import { hashFile } from '../../hash-file.ts';
import { directoriesOf, setDirectoryModes } from './snapshot-directories.ts';

/** Reads the files of a snapshot, as a `ContentFormat` does. */
export type ContentReader = Pick<ContentFormat, 'readFile'>;

export interface DownloadTarget {
  readonly manifest: Manifest;
  /** Default: the snapshot's format reads them from the remote. */
  readonly reader?: ContentReader | undefined;
  /** An existing, private directory. */
  readonly dir: string;
  /** A store to copy files from if their content is the snapshot's. */
  readonly reuseFrom: string | undefined;
  readonly onBytes: (count: number) => void;
  /** A file is complete and verified. */
  readonly onFile: (file: ManifestFile) => void;
  /** Files that are wanted first. */
  readonly first: readonly string[];
}

export interface Downloaded {
  readonly downloadedBytes: number;
  readonly reusedBytes: number;
}

/**
 * Downloads a snapshot's files into `dir` and verifies the SHA-256 of each. They are not yet synced to disk. Rejects with
 * SNAPSHOT_CORRUPT, naming the object, if one is missing or damaged.
 */
export async function downloadFiles(context: Context, target: DownloadTarget): Promise<Downloaded> {
  const { fs, settings } = context;
  const { manifest, dir, reader } = target;
  let reusedBytes = 0;
  let downloadedBytes = 0;
  const directories = directoriesOf(manifest);
  for (const directory of directories) await fs.makeDirectory(join(dir, directory), { mode: 0o755 });
  const begin = inTurn();
  await concurrently(
    inOrder(manifest.files, target.first),
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
        const download = (onBytes: (count: number) => void): Promise<void> =>
          downloadFile(each, { manifest, file, path, onBytes, reader });
        if (file.size <= largeBytes) await download(target.onBytes);
        else {
          await begin(async (hasBegun) => {
            throwIfAborted(signal, 'Restore');
            await download((count) => (hasBegun(), target.onBytes(count)));
          });
        }
        downloadedBytes += file.size;
      }
      target.onFile(file);
    },
  );
  await setDirectoryModes(fs, manifest, dir);
  const names = new Set(manifest.files.map(({ path }) => path));
  // Whoever looks at a database meanwhile may have made a file beside it.
  const found = (await scanStore(dir)).files.filter(({ path }) => names.has(path)).length;
  if (found !== manifest.files.length) throw namesCollide(manifest, dir, found);
  return { downloadedBytes, reusedBytes };
}

/** Large files take longest to hash, to flush and to check, so they come first. The others stay as they are: beside their neighbours. */
function inOrder(files: readonly ManifestFile[], first: readonly string[]): readonly ManifestFile[] {
  const wanted = new Set(first);
  const rank = ({ path, size }: ManifestFile): number =>
    wanted.has(path) ? Infinity : size > largeBytes ? size : 0;
  return files.toSorted((a, b) => (rank(a) === rank(b) ? 0 : rank(b) - rank(a)));
}

const largeBytes = 16 * 1024 * 1024;

/** Runs works side by side, but begins each only when the one before has said that it has begun, or has ended. */
function inTurn(): (work: (hasBegun: () => void) => Promise<void>) => Promise<void> {
  let before = Promise.resolve();
  return async (work) => {
    let hasBegun = (): void => undefined;
    const turn = before;
    before = new Promise((resolve) => (hasBegun = resolve));
    await turn;
    await work(() => hasBegun()).finally(() => hasBegun());
  };
}

export interface FileDownload {
  readonly manifest: Manifest;
  readonly reader?: ContentReader | undefined;
  readonly file: ManifestFile;
  /** Of the new file. */
  readonly path: string;
  readonly onBytes: (count: number) => void;
}

/** Downloads one file and verifies it, with its permissions and time. It is not yet synced to disk. */
export async function downloadFile(
  context: Context,
  { manifest, file, path, onBytes, reader = context.formats.of(manifest) }: FileDownload,
): Promise<void> {
  await reader.readFile(context, { snapshot: manifest, file, onBytes, to: path });
  await context.fs.setAttributes(path, { mode: file.mode, mtimeMs: file.mtimeMs });
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

/** If a file system ignores case or Unicode composition, two names are one file there. */
function namesCollide(manifest: Manifest, dir: string, found: number): SyncAgentError {
  return new SyncAgentError(
    'UNSUPPORTED',
    `Cannot restore snapshot ${manifest.id}: of its ${manifest.files.length} files "${dir}" holds ${found}, so that names differing only in case are one there`,
    { remedy: 'Restore to a file system that tells names apart by case' },
  );
}
