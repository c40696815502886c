import { totalBytes } from '../log/manifest.ts';
import { diskSpace } from '../platform/disk-space.ts';
import type { DiskSpace } from '../platform/disk-space.ts';
import type { Home } from '../home/home.ts';
import { readDrillRecord } from '../home/records/drill-record.ts';
import type { DrillRecord } from '../home/records/drill-record.ts';
import { readOperations } from '../home/operations/records.ts';
import type { OperationRecord } from '../home/operations/records.ts';
import { listRollbackCopies } from '../home/rollback-copies.ts';
import type { RollbackCopy } from '../home/rollback-copies.ts';
import { scanStore } from '../stores/content/scan.ts';
import { memoryOfUsers } from './users-memory.ts';

/** What is found on the local disk. A member is null if it could not be read, or if there is nothing to read. */
export interface DiskFacts {
  readonly atMs: number;
  /** Of the file system that holds the store. */
  readonly disk: DiskSpace | null;
  readonly store: { readonly bytes: number; readonly files: number } | null;
  /** Oldest first. */
  readonly rollbackCopies: readonly RollbackCopy[] | null;
  /** What drills of the agent's remote found, also those before this agent started. */
  readonly drill: DrillRecord | null;
  /** The newest of the operation log, oldest first. */
  readonly operations: readonly OperationRecord[] | null;
  /** Resident memory of the programs that have the store open, bytes. */
  readonly usersMemoryBytes: number | null;
}

const shownOperations = 10;
/** Of the end of the operation log: more than those take. */
const recentLogBytes = 64 * 1024;

/** Looks at the disk, the store, its rollback copies and its users. Opens no file of the store. */
export async function lookAtDisk(home: Home, remote: string, atMs: number): Promise<DiskFacts> {
  const [disk, store, rollbackCopies, drill, operations, usersMemoryBytes] = await Promise.all([
    orNull(() => diskSpace(home.store)),
    orNull(async () => {
      const { files } = await scanStore(home.store, home.exclude);
      return { bytes: totalBytes(files), files: files.length };
    }),
    orNull(() => listRollbackCopies(home)),
    orNull(async () => (await readDrillRecord(home, remote)) ?? null),
    orNull(async () => (await readOperations(home, recentLogBytes)).slice(-shownOperations)),
    orNull(() => memoryOfUsers(home)),
  ]);
  return { atMs, disk, store, rollbackCopies, drill, operations, usersMemoryBytes };
}

/** A look must not fail because a swap is under way or a directory is unreadable. */
async function orNull<T>(look: () => Promise<T>): Promise<T | null> {
  return look().catch(() => null);
}
