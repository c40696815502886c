import { sameVersion } from '../content/scan.ts';
import type { FileEntry, ScanResult } from '../content/scan.ts';

/** The files that are content: not the databases' rollback journals and shared memory. Their `-wal` is, unless it is empty. */
export function contentOf(scan: ScanResult, databases: readonly string[]): ScanResult {
  const transient = new Set(databases.flatMap((path) => [`${path}-journal`, `${path}-shm`]));
  const logs = new Set(databases.map((path) => `${path}-wal`));
  const isContent = ({ path, size }: FileEntry): boolean =>
    !transient.has(path) && (size > 0 || !logs.has(path));
  return { ...scan, files: scan.files.filter(isContent) };
}

/** The rollback journals, of some databases, that a transaction is writing or left behind. */
export function hotJournals(scan: ScanResult, databases: readonly string[]): readonly string[] {
  const journals = new Set(databases.map((path) => `${path}-journal`));
  return scan.files.filter((file) => journals.has(file.path) && file.size > 0).map(({ path }) => path);
}

/** The paths at which two scans differ: files written, made or gone, directories made, gone or with another mode. */
export function differences(a: ScanResult, b: ScanResult): readonly string[] {
  const files = new Map(b.files.map((file) => [file.path, file]));
  const changed = new Set<string>();
  for (const file of a.files) {
    const other = files.get(file.path);
    if (other === undefined || !sameVersion(file, other)) changed.add(file.path);
    files.delete(file.path);
  }
  for (const path of files.keys()) changed.add(path);
  const nameOf = (path: string): string => (path === '' ? './' : `${path}/`);
  const directories = new Map(b.directories.map((each) => [each.path, each]));
  for (const each of a.directories) {
    const other = directories.get(each.path);
    if (other?.mode !== each.mode || other.isEmpty !== each.isEmpty) changed.add(nameOf(each.path));
    directories.delete(each.path);
  }
  for (const path of directories.keys()) changed.add(nameOf(path));
  return [...changed];
}
