import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { SyncAgentError } from '../../platform/errors.ts';
import { isDiskFull } from '../../platform/disk-space.ts';
import { fingerprint, storeIdentity } from '../../stores/content/fingerprint.ts';
import { stagingRoot, storeExists } from '../../home/home.ts';
import { removeJournal, writeJournal } from '../../home/journal.ts';
import { mountsBelow } from '../../platform/mounts.ts';
import type { Manifest, ManifestFile } from '../../log/manifest.ts';
import { totalBytes } from '../../log/manifest.ts';
import { emptyScan, homeInsideStore, scanStore } from '../../stores/content/scan.ts';
import type { ScanResult } from '../../stores/content/scan.ts';
import { writeState } from '../../home/state.ts';
import type { RemoteState } from '../../home/state.ts';
import { newAttempt, progressOf } from '../context.ts';
import type { Context } from '../context.ts';
import { hashFile } from '../hash-file.ts';
import { downloadFile } from './download/download-files.ts';
import { directoriesOf, setDirectoryModes } from './download/snapshot-directories.ts';
import { diskFull, spareBytes } from './disk-shortage.ts';

export interface Replaced {
  readonly downloadedBytes: number;
  readonly reusedBytes: number;
}

/**
 * Restores in place, file by file, for a disk that cannot hold old and new together. There is no rollback copy.
 *
 *     1 read and verify every file that is needed   crash: nothing has happened
 *     2 write the journal                           crash: the next restore goes on from here; until it has finished,
 *     3 replace file by file, remove other files    the store is incomplete and backups refuse it
 *     4 write the state, remove the journal         crash before: the next restore finds every file right, and does this
 */
export async function replaceStore(
  context: Context,
  manifest: Manifest,
  after: {
    readonly state: RemoteState;
    /** The next backup commits even an unchanged store. So no fingerprint is recorded, and that backup asks the remote. */
    readonly isCommitDue: boolean;
  },
): Promise<Replaced> {
  const { home, fs } = context;
  const present = await scanPresent(context);
  assertRemovable(present);
  assertNothingInTheWay(present, manifest);
  const wanted = await differingFiles(context, manifest, present);
  const mounts = await mountsBelow(home.store);
  assertNoneInside(mounts, wanted);
  const downloadBytes = totalBytes(wanted);
  const report = progressOf(context, 'download', downloadBytes * 2);
  const format = context.formats.of(manifest);
  for (const file of wanted) await format.readFile(context, { snapshot: manifest, file, onBytes: report });

  await writeJournal(fs, home, {
    type: 'replace',
    attempt: newAttempt(),
    location: context.remoteId,
    snapshot: manifest.id,
  });
  await removeStrangers(context, manifest, mounts);
  for (const directory of directoriesOf(manifest))
    await fs.makeDirectory(join(home.store, directory), { mode: 0o755 });
  await fs.makeDirectory(stagingRoot(home));
  for (const file of wanted) await replaceFile(context, { manifest, file, report });
  await setDirectoryModes(fs, manifest, home.store);
  for (const directory of directoriesOf(manifest).toReversed()) await fs.sync(join(home.store, directory));

  await context.fs.remove(stagingRoot(home));
  const recorded = after.isCommitDue ? null : fingerprint(await scanStore(home.store, home.exclude));
  await writeState(fs, home, {
    format: 1,
    identity: await storeIdentity(home.store),
    remotes: { [context.remoteId]: { ...after.state, fingerprint: recorded } },
  });
  await removeJournal(fs, home);
  return { downloadedBytes: downloadBytes, reusedBytes: totalBytes(manifest.files) - downloadBytes };
}

async function replaceFile(
  context: Context,
  work: {
    readonly manifest: Manifest;
    readonly file: ManifestFile;
    readonly report: (bytes: number) => void;
  },
): Promise<void> {
  const { home, fs } = context;
  const place = join(home.store, work.file.path);
  const staged = join(stagingRoot(home), 'file');
  const { freeBytes } = await context.diskSpace(home.store);
  // While there is room for both, keep the old file until the new one takes its place.
  if (freeBytes < work.file.size + spareBytes) await fs.remove(place);
  const download = { manifest: work.manifest, file: work.file, path: staged, onBytes: work.report };
  // A crash may have left one.
  await fs.remove(staged);
  try {
    await downloadFile(context, download);
  } catch (error) {
    if (!isDiskFull(error)) throw error;
    await fs.remove(staged);
    await fs.remove(place);
    await downloadFile(context, download);
  }
  await fs.sync(staged);
  await fs.rename(staged, place);
  await fs.sync(dirname(place));
}

/** Rejects with DISK_FULL if the snapshot does not fit even without the present store. */
export async function assertReplacementFits(context: Context, manifest: Manifest): Promise<void> {
  const { freeBytes } = await context.diskSpace(context.home.store);
  const present = totalBytes((await scanPresent(context)).files);
  const needed = totalBytes(manifest.files);
  if (freeBytes + present < needed)
    throw diskFull(manifest, { freeBytes: freeBytes + present, where: 'even without the present store' });
}

async function scanPresent({ home }: Context): Promise<ScanResult> {
  return (await storeExists(home)) ? scanStore(home.store, home.exclude) : emptyScan;
}

async function differingFiles(
  context: Context,
  manifest: Manifest,
  { files }: ScanResult,
): Promise<readonly ManifestFile[]> {
  const local = new Map(files.map((file) => [file.path, file]));
  const differing: ManifestFile[] = [];
  for (const file of manifest.files) {
    const present = local.get(file.path);
    const isRight =
      present?.size === file.size &&
      present.mode === file.mode &&
      (await hashFile(join(context.home.store, file.path), file.size, context.signal)) === file.sha256;
    if (!isRight) differing.push(file);
  }
  return differing;
}

/** Node cannot remove a file whose name is not valid Unicode. Better to fail while the old store is whole. */
function assertRemovable({ oddities }: ScanResult): void {
  const unspeakable = oddities.find(({ path }) => path.includes('\uFFFD'));
  if (unspeakable === undefined) return;
  throw new SyncAgentError('REFUSED', `Cannot replace "${unspeakable.path}": ${unspeakable.problem}`, {
    remedy: 'Rename it or move it out of the store',
  });
}

/** Files that are left alone must not be in the way of the snapshot's. */
function assertNothingInTheWay({ leftAlone }: ScanResult, manifest: Manifest): void {
  const files = new Set(manifest.files.map(({ path }) => path));
  for (const { path } of leftAlone) {
    const taken = [path, ...parentsOf(path)].find((each) => files.has(each));
    if (taken === undefined) continue;
    throw new SyncAgentError(
      'REFUSED',
      `Cannot restore the file "${taken}": "${path}", which is left alone, is in its place`,
      { remedy: 'Move it out of the store' },
    );
  }
}

/** No rename reaches into another file system that is mounted in the store, and its files are not ours to remove. */
function assertNoneInside(mounts: readonly string[], wanted: readonly ManifestFile[]): void {
  for (const { path } of wanted) {
    const mount = mounts.find(
      (each) => path === each || path.startsWith(`${each}/`) || each.startsWith(`${path}/`),
    );
    if (mount === undefined) continue;
    throw new SyncAgentError(
      'REFUSED',
      `Cannot restore the file "${path}": another file system is mounted at "${mount}"`,
      {
        remedy: 'Unmount it, or take the snapshot out with "sync-agent restore --to" and copy what you need',
      },
    );
  }
}

/** The directories that a path is in, without the store itself. */
function parentsOf(path: string): readonly string[] {
  const names = path.split('/');
  return names.slice(1).map((_, depth) => names.slice(0, depth + 1).join('/'));
}

/** Removes files that the snapshot does not have, and files in the place of its directories, or the reverse. */
async function removeStrangers(
  context: Context,
  manifest: Manifest,
  mounts: readonly string[],
): Promise<void> {
  // Scanned again: a log file may be new since.
  const present = await scanPresent(context);
  const leftAlone = new Set([...mounts, ...present.leftAlone.map(({ path }) => path)]);
  const holders = new Set([...leftAlone].flatMap(parentsOf));
  const files = new Set(manifest.files.map((file) => file.path));
  const directories = new Set(directoriesOf(manifest));
  const visit = async (relative: string): Promise<void> => {
    const path = join(context.home.store, relative);
    for (const entry of await readdir(path, { withFileTypes: true })) {
      if (relative === '' && entry.name === homeInsideStore) continue;
      const child = relative === '' ? entry.name : `${relative}/${entry.name}`;
      if (leftAlone.has(child)) continue;
      const isWanted = entry.isDirectory() ? directories.has(child) : entry.isFile() && files.has(child);
      if (entry.isDirectory() && (isWanted || holders.has(child))) await visit(child);
      else if (!isWanted) await context.fs.remove(join(path, entry.name));
    }
  };
  await context.fs.makeDirectory(context.home.store, { mode: 0o755 });
  await visit('');
}
