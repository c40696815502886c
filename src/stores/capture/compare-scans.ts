import { sameTimes, sameVersion } from '../content/scan.ts';
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
  const directories = new Map(b.directories.map((each) => [each.path, each]));
  for (const each of a.directories) {
    const other = directories.get(each.path);
    if (other?.mode !== each.mode || other.isEmpty !== each.isEmpty) changed.add(nameOf(each.path));
    directories.delete(each.path);
  }
  for (const path of directories.keys()) changed.add(nameOf(path));
  return [...changed];
}

/** The directories of `a` that gained or lost an entry, and `others`, whose times say nothing, aside. */
export function touchedDirectories(
  a: ScanResult,
  b: ScanResult,
  others: ReadonlySet<string>,
): readonly string[] {
  const directories = new Map(b.directories.map((each) => [each.path, each]));
  return a.directories
    .filter((each) => {
      const other = directories.get(each.path);
      return !others.has(each.path) && (other === undefined || !sameTimes(each, other));
    })
    .map(({ path }) => nameOf(path));
}

/** A scan without some of its files. */
export function without(scan: ScanResult, paths: ReadonlySet<string>): ScanResult {
  return { ...scan, files: scan.files.filter((file) => !paths.has(file.path)) };
}

/** The files that a fence on these databases protects. */
export function filesOfDatabases(databases: readonly string[]): ReadonlySet<string> {
  return new Set(databases.flatMap((path) => [path, `${path}-wal`]));
}

/** '' is the store itself. */
export function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}

/** A directory, for messages. */
function nameOf(path: string): string {
  return path === '' ? './' : `${path}/`;
}
