import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import checkDiskSpaceModule from 'check-disk-space';
import { errnoOf, isSyncAgentError } from './errors.ts';

// The package's types describe its CommonJS form; under Node's ESM the function is the default export itself.
const checkDiskSpace = checkDiskSpaceModule as unknown as (
  path: string,
) => Promise<{ free: number; size: number }>;

export interface DiskSpace {
  /** Bytes that this user may still write. */
  readonly freeBytes: number;
  readonly totalBytes: number;
}

/** The space of the file system that holds `path`, or will hold it. Quotas are not counted: only a write shows them. */
export async function diskSpace(path: string): Promise<DiskSpace> {
  const { free, size } = await checkDiskSpace(await nearestExisting(path));
  return { freeBytes: free, totalBytes: size };
}

/** Whether a write failed because the disk or a quota is full. The file system, SQLite or a remote may have said so. */
export function isDiskFull(error: unknown): boolean {
  if (isSyncAgentError(error, 'DISK_FULL')) return true;
  return ['ENOSPC', 'EDQUOT', 'SQLITE_FULL'].includes(errnoOf(error) ?? '');
}

async function nearestExisting(path: string): Promise<string> {
  for (let candidate = path; ; candidate = dirname(candidate)) {
    try {
      await stat(candidate);
      return candidate;
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT' || candidate === dirname(candidate)) throw error;
    }
  }
}
