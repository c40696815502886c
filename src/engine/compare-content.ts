import { join } from 'node:path';
import type { Manifest } from '../snapshot/manifest.ts';
import { emptyDirectoriesOf } from '../store/scan.ts';
import type { FileEntry, ScanResult } from '../store/scan.ts';
import type { Context } from './context.ts';
import { hashFile } from './hash-file.ts';

/**
 * Whether a stopped store holds a snapshot's names and bytes. Hashes a file only where the snapshot has one of its
 * size; `hashes` (by path) spares doing it again for the next snapshot.
 */
export async function hasContentOfSnapshot(
  context: Context,
  manifest: Manifest,
  store: ScanResult,
  hashes = new Map<string, string>(),
): Promise<boolean> {
  const theirs = new Map(manifest.files.map((file) => [file.path, file]));
  const hasSameNames =
    store.oddities.length === 0 &&
    store.files.length === theirs.size &&
    store.files.every((file) => theirs.get(file.path)?.size === file.size) &&
    emptyDirectoriesOf(store).join('\0') === manifest.emptyDirectories.toSorted().join('\0');
  if (!hasSameNames) return false;
  for (const file of store.files) {
    if ((await hashOf(context, file, hashes)) !== theirs.get(file.path)?.sha256) return false;
  }
  return true;
}

async function hashOf(context: Context, file: FileEntry, hashes: Map<string, string>): Promise<string> {
  const known = hashes.get(file.path);
  if (known !== undefined) return known;
  const hash = await hashFile(join(context.home.store, file.path), file.size, context.signal);
  hashes.set(file.path, hash);
  return hash;
}
