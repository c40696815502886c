import { join } from 'node:path';
import { totalBytes } from '../../log/manifest.ts';
import type { LogEntry, Manifest } from '../../log/manifest.ts';
import { noExclusions } from '../../stores/content/exclusions.ts';
import type { Exclusions } from '../../stores/content/exclusions.ts';
import { isTransient } from '../../stores/content/fingerprint.ts';
import type { FileEntry, ScanResult } from '../../stores/content/scan.ts';
import type { Context } from '../context.ts';
import { hashFile } from '../hash-file.ts';
import { snapshotContent } from '../snapshot-content.ts';

/**
 * Whether a stopped store holds a snapshot's names and bytes, so that replacing it loses nothing. Permissions, times and
 * empty directories do not count: a checkout, an archive or a copy does not keep them. Hashes a file only if the snapshot's
 * has the same size. `hashes` (by path) keeps the results for the next snapshot.
 */
export async function hasContentOfSnapshot(
  context: Context,
  manifest: Manifest,
  store: ScanResult,
  hashes = new Map<string, string>(),
): Promise<boolean> {
  const { files } = snapshotContent(manifest, context.home.exclude, store.leftAlone);
  const theirs = new Map(files.map((file) => [file.path, file]));
  const ours = store.files.filter((file) => theirs.has(file.path) || !isNothing(file));
  const hasSameNames =
    store.oddities.length === 0 &&
    ours.length === theirs.size &&
    ours.every((file) => theirs.get(file.path)?.size === file.size);
  if (!hasSameNames) return false;
  for (const file of ours) {
    if ((await hashOf(context, file, hashes)) !== theirs.get(file.path)?.sha256) return false;
  }
  return true;
}

/** Files that a program leaves beside its database and that hold no data. */
const isNothing = (file: Pick<FileEntry, 'path' | 'size'>): boolean =>
  isTransient(file) || (file.size === 0 && file.path.endsWith('-journal'));

/** The snapshots that may have the content of `files`, by size alone, so that few manifests are fetched. */
export function snapshotsOfSize<T extends { readonly entry: LogEntry }>(
  snapshots: readonly T[],
  files: readonly Pick<FileEntry, 'path' | 'size'>[],
  exclude: Exclusions = noExclusions,
): readonly T[] {
  const atLeast = totalBytes(files.filter((file) => !isNothing(file)));
  // Only a manifest tells how much of its snapshot is excluded.
  if (exclude.length > 0) return snapshots.filter(({ entry }) => entry.bytes >= atLeast);
  const sizes = new Set([totalBytes(files), atLeast]);
  return snapshots.filter(({ entry }) => sizes.has(entry.bytes));
}

async function hashOf(context: Context, file: FileEntry, hashes: Map<string, string>): Promise<string> {
  const known = hashes.get(file.path);
  if (known !== undefined) return known;
  const hash = await hashFile(join(context.home.store, file.path), file.size, context.signal);
  hashes.set(file.path, hash);
  return hash;
}
