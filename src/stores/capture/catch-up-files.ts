import { sameVersion, statFileNow } from '../content/scan.ts';
import type { FileEntry } from '../content/scan.ts';
import type { UnfinishedWrites } from '../store-kind.ts';
import { bytesOf, pathsOf } from './catch-up.ts';
import type { CatchUpOptions } from './catch-up.ts';
import type { ChangeTally } from './change-tally.ts';
import type { Image } from './image.ts';
import { waitUntilQuiet } from './wait-until-quiet.ts';

export interface FilesSubject {
  readonly dir: string;
  readonly image: Image;
  /** Those that are fenced. */
  readonly databases: readonly string[];
  /** Other files, which may be written now. */
  readonly others: readonly string[];
  /** The files, databases aside, that are in the middle of a write. */
  readonly judge: (files: readonly FileEntry[], nowMs: number) => UnfinishedWrites;
  readonly tally: ChangeTally;
}

/**
 * Under the fence: looks at the databases, their write-ahead logs and the other files, makes the image equal to them, and looks
 * again, until nothing changed meanwhile. Resolves to what it found. Undefined if a database vanished or was replaced, or if they
 * changed all the time.
 *
 * A database that has the version that the image holds is not read. SQLite writes with `pwrite`, which sets the file's times; it maps
 * files for reading only, unless built with SQLITE_MMAP_READWRITE (`unixWrite` and `unixRemapfile` in its os_unix.c).
 *
 * The fence does not keep a checkpoint from moving pages from a write-ahead log to its database. That is seen as a change.
 */
export async function catchUpFiles(
  { dir, image, databases, others, judge, tally }: FilesSubject,
  { clock, signal, patienceMs, budgetBytes }: CatchUpOptions,
): Promise<readonly FileEntry[] | undefined> {
  const until = clock.monotonic() + patienceMs;
  do {
    const files = filesOf(dir, databases, others);
    if (files === undefined) return undefined;
    const [covered, around] = files;
    const moving = pathsOf(judge(around, clock.now()));
    if (moving.length > 0) {
      tally.note(moving);
      const activeMs = until - clock.monotonic();
      const patience = { clock, signal, activeMs, stalledMs: 0, pauseMs: 20 };
      if (pathsOf(await waitUntilQuiet(dir, around, judge, patience)).length > 0) return undefined;
      continue;
    }
    if (bytesOf(image.missing(around)) > budgetBytes) return undefined;
    if (!(await image.catchUp(files.flat(), databases))) return undefined;
    const after = filesOf(dir, databases, others);
    const changed = changedFiles(files.flat(), after?.flat() ?? []);
    if (changed.length === 0) return [...covered, ...around];
    tally.note(changed);
  } while (clock.monotonic() < until);
  return undefined;
}

/** The databases with their logs, and those of the others that are there. Undefined if a database is missing. */
function filesOf(
  dir: string,
  databases: readonly string[],
  others: readonly string[],
): readonly [covered: readonly FileEntry[], around: readonly FileEntry[]] | undefined {
  const covered: FileEntry[] = [];
  for (const path of databases) {
    const database = statFileNow(dir, path);
    if (database === undefined) return undefined;
    covered.push(database);
    const log = statFileNow(dir, `${path}-wal`);
    if (log !== undefined && log.size > 0) covered.push(log);
  }
  const around = others.map((path) => statFileNow(dir, path)).filter((file) => file !== undefined);
  return [covered, around];
}

function changedFiles(a: readonly FileEntry[], b: readonly FileEntry[]): readonly string[] {
  const there = new Map(b.map((file) => [file.path, file]));
  const changed = a.filter((file) => {
    const other = there.get(file.path);
    there.delete(file.path);
    return other === undefined || !sameVersion(file, other);
  });
  return [...changed.map(({ path }) => path), ...there.keys()];
}
