import { lstat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Manifest } from '../../../log/manifest.ts';
import type { FileSystem } from '../../../platform/file-system.ts';

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

/** Sets the modes of all directories below the root. */
export async function setDirectoryModes(fs: FileSystem, manifest: Manifest, dir: string): Promise<void> {
  const modes = new Map(manifest.directories?.map(({ path, mode }) => [path, mode]));
  for (const path of directoriesOf(manifest)) {
    if (path !== '') await setDirectoryMode(fs, join(dir, path), modes.get(path));
  }
}

/**
 * Always leaves the owner all rights: without them the directory could be neither moved nor removed. Bits beyond the
 * permissions stay as they are: volumes use one to pass on their group.
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

const parentOf = (path: string): string => {
  const parent = dirname(path);
  return parent === '.' ? '' : parent;
};
