import { totalBytes } from '../snapshot/manifest.ts';
import { unpersistedIndexFiles } from '../store/chroma/index-rest.ts';
import type { FileEntry, ScanResult } from '../store/scan.ts';
import type { Context } from './context.ts';

/**
 * Whether a store holds nothing that could be lost: no bytes at all, or sound databases without a record and nothing
 * beside them. Applications make such a store at boot. False where that cannot be told.
 */
export async function holdsNothing(context: Context, { files, oddities }: ScanResult): Promise<boolean> {
  const { home, signal } = context;
  // Who opens a FIFO waits for ever.
  if (oddities.length > 0) return false;
  if (totalBytes(files) === 0) return true;
  if ((await context.findStoreUsers(home.store)).length > 0) return false;
  const adapter = await context.detectAdapter(home.store);
  const {
    problems,
    statistics,
    databases = [],
  } = await adapter.inspect(home.store, { level: 'quick', signal });
  return problems.length === 0 && statistics.records === 0 && foreignTo(databases, files).length === 0;
}

/** Files with content that belong neither to a database nor to a vector index that was allotted, and never written. */
function foreignTo(databases: readonly string[], files: readonly FileEntry[]): readonly FileEntry[] {
  const own = new Set([
    ...databases.flatMap((path) => ['', '-journal', '-wal', '-shm'].map((end) => path + end)),
    ...unpersistedIndexFiles(files),
  ]);
  return files.filter(({ path, size }) => size > 0 && !own.has(path));
}
