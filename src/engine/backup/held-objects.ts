import { historyDirectory, historyKey } from '../../log/layout.ts';
import type { Manifest, ManifestFile } from '../../log/manifest.ts';
import type { Context } from '../context.ts';

/** Whether the remote has the object that snapshot `id` keeps a file in, with its size. */
export type IsHeld = (id: string, file: Pick<ManifestFile, 'path' | 'size'>) => boolean;

/**
 * Lists the directories that snapshots have their files in: one listing for each. `files` says which of them matter.
 * Sizes are compared, hashes are not: that is `verify --read-data`.
 */
export async function lookForObjects(
  { remote, signal }: Context,
  manifests: readonly Pick<Manifest, 'id' | 'files'>[],
  matters: (file: ManifestFile) => boolean = () => true,
): Promise<IsHeld> {
  const owners = new Set<string>();
  for (const { id, files } of manifests) {
    for (const file of files) if (matters(file)) owners.add(file.in ?? id);
  }
  const sizes = new Map<string, number>();
  for (const owner of owners) {
    for await (const page of remote.list(historyDirectory(owner), { signal })) {
      for (const { key, size } of page.objects) sizes.set(key, size);
    }
  }
  return (id, { path, size }) => sizes.get(historyKey(id, path)) === size;
}

/** The objects of a snapshot that are missing or have another size. */
export function missingObjects(
  { id, files }: Pick<Manifest, 'id' | 'files'>,
  isHeld: IsHeld,
): readonly string[] {
  return files
    .filter((file) => !isHeld(file.in ?? id, file))
    .map((file) => historyKey(file.in ?? id, file.path));
}
