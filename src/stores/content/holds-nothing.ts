import { totalBytes } from '../../log/manifest.ts';
import { unpersistedIndexFiles } from '../chroma/index-rest.ts';
import type { Exclusions } from './exclusions.ts';
import { scanStore } from './scan.ts';
import type { FileEntry } from './scan.ts';
import type { StoreReport } from '../adapter.ts';

/** See `StoreAdapter.holdsNothing`; `inspect` is the adapter's. */
export async function holdsNothing(
  dir: string,
  exclude: Exclusions | undefined,
  inspect: () => Promise<StoreReport>,
): Promise<boolean> {
  const { files, oddities } = await scanStore(dir, exclude);
  // Who opens a FIFO waits for ever.
  if (oddities.length > 0) return false;
  if (totalBytes(files) === 0) return true;
  const { damage, statistics, databases = [] } = await inspect();
  return damage.length === 0 && statistics.records === 0 && foreignTo(databases, files).length === 0;
}

/** Files with content that belong neither to a database nor to a vector index that was allotted, and never written. */
function foreignTo(databases: readonly string[], files: readonly FileEntry[]): readonly FileEntry[] {
  const own = new Set([
    ...databases.flatMap((path) => ['', '-journal', '-wal', '-shm'].map((end) => path + end)),
    ...unpersistedIndexFiles(files),
  ]);
  return files.filter(({ path, size }) => size > 0 && !own.has(path));
}
