import { totalBytes } from '../log/manifest.ts';
import { diskSpace } from '../platform/disk-space.ts';
import type { DiskSpace } from '../platform/disk-space.ts';
import type { Home } from '../home/home.ts';
import { listRollbackCopies } from '../home/rollback-copies.ts';
import type { RollbackCopy } from '../home/rollback-copies.ts';
import { scanStore } from '../stores/content/scan.ts';

/** What is found on the local disk. A member is null if it could not be read, or if there is nothing to read. */
export interface DiskFacts {
  readonly atMs: number;
  /** Of the file system that holds the store. */
  readonly disk: DiskSpace | null;
  readonly store: { readonly bytes: number; readonly files: number } | null;
  /** Oldest first. */
  readonly rollbackCopies: readonly RollbackCopy[] | null;
}

/** Looks at the disk, the store and its rollback copies. Opens no file. */
export async function lookAtDisk(home: Home, atMs: number): Promise<DiskFacts> {
  const [disk, store, rollbackCopies] = await Promise.all([
    orNull(() => diskSpace(home.store)),
    orNull(async () => {
      const { files } = await scanStore(home.store, home.exclude);
      return { bytes: totalBytes(files), files: files.length };
    }),
    orNull(() => listRollbackCopies(home)),
  ]);
  return { atMs, disk, store, rollbackCopies };
}

/** A look must not fail because a swap is under way or a directory is unreadable. */
async function orNull<T>(look: () => Promise<T>): Promise<T | null> {
  return look().catch(() => null);
}
