import { SyncAgentError } from '../../../platform/errors.ts';
import { fileTimeMs } from '../../../platform/file-system.ts';
import type { Capture } from '../../../stores/adapter.ts';
import { emptyDirectoriesOf, scanStore } from '../../../stores/content/scan.ts';
import type { FileEntry, ScanResult } from '../../../stores/content/scan.ts';
import type { CapturedTree, ImageFile } from '../plan-backup.ts';

/** A database whose log was folded into it has another size than in the store. */
export async function describeFiles(
  dir: string,
  { source }: Pick<Capture, 'source'>,
): Promise<readonly ImageFile[]> {
  const sizes = new Map((await scanStore(dir)).files.map((file) => [file.path, file.size]));
  return source.files.map((file) => {
    const { path } = file;
    const size = sizes.get(path);
    if (size === undefined)
      throw new SyncAgentError('INTERNAL', `Cannot back up "${path}": it is not in the image`);
    return describeFile(file, size);
  });
}

export const describeFile = ({ path, mode, mtimeNs }: FileEntry, size: number): ImageFile => ({
  path,
  size,
  mode,
  mtimeMs: fileTimeMs(mtimeNs),
});

/** As in manifests. */
export function describeDirectories(
  source: ScanResult,
): Pick<CapturedTree, 'mode' | 'directories' | 'emptyDirectories'> {
  const [root, ...below] = source.directories;
  return {
    mode: root?.mode ?? 0o755,
    directories: below.map(({ path, mode }) => ({ path, mode })),
    emptyDirectories: emptyDirectoriesOf(source),
  };
}
