import { totalBytes } from '../log/manifest.ts';
import { diskSpace } from '../platform/disk-space.ts';
import type { Home } from '../home/home.ts';
import { listRollbackCopies } from '../home/rollback-copies.ts';
import { scanStore } from '../stores/content/scan.ts';
import type { LocalFacts } from './http-subject.ts';

/** Looks at the disk, the store and its rollback copies; reads no file. What cannot be seen is null. */
export async function lookAtDisk(home: Home, atMs: number): Promise<LocalFacts> {
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

/** A swap may be under way, or a directory unreadable: whoever only looks goes on. */
async function orNull<T>(look: () => Promise<T>): Promise<T | null> {
  return look().catch(() => null);
}
