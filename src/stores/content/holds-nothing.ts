import { totalBytes } from '../../log/manifest.ts';
import type { Exclusions } from './exclusions.ts';
import { scanStore } from './scan.ts';
import type { FileEntry } from './scan.ts';
import type { StoreReport } from '../adapter.ts';

/** See `StoreAdapter.holdsNothing`. `inspect` and `allotted` are those of the kind of store. */
export async function holdsNothing(
  dir: string,
  {
    exclude,
    inspect,
    allotted,
  }: {
    readonly exclude?: Exclusions | undefined;
    readonly inspect: () => Promise<StoreReport>;
    readonly allotted: (files: readonly FileEntry[]) => readonly string[];
  },
): Promise<boolean> {
  const { files, oddities } = await scanStore(dir, exclude);
  // Who opens a FIFO waits for ever.
  if (oddities.length > 0) return false;
  if (totalBytes(files) === 0) return true;
  const { damage, statistics, databases = [] } = await inspect();
  if (damage.length > 0 || statistics.records > 0) return false;
  const empty = new Set([
    ...databases.flatMap((path) => ['', '-journal', '-wal', '-shm'].map((end) => path + end)),
    ...allotted(files),
  ]);
  return files.every(({ path, size }) => size === 0 || empty.has(path));
}
