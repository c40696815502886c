import { join } from 'node:path';
import type { Exclusions } from '../content/exclusions.ts';
import { scanStore } from '../content/scan.ts';
import type { CaptureKind } from '../store-kind.ts';
import { isInWalMode } from './sqlite-file.ts';

/** Whether a database of a store is in WAL mode, and has neither log nor shared memory. A reader would make both. */
export async function hasReadersFiles(
  dir: string,
  { findDatabases }: CaptureKind,
  exclude: Exclusions | undefined,
): Promise<boolean> {
  const scan = await scanStore(dir, exclude);
  const paths = new Set(scan.files.map(({ path }) => path));
  const isLeftOpen = (path: string): boolean => paths.has(`${path}-wal`) || paths.has(`${path}-shm`);
  const databases = await findDatabases(dir, scan);
  return databases.some((path) => !isLeftOpen(path) && isInWalMode(join(dir, path)));
}
