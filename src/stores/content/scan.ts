import { lstatSync, readdirSync, statSync } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { makeBreather } from '../../platform/breathe.ts';
import { SyncAgentError, errnoOf } from '../../platform/errors.ts';
import { excludingPattern, noExclusions } from './exclusions.ts';
import type { Exclusions } from './exclusions.ts';
import { isForeign } from './foreign.ts';
import { withoutExcludedOnly } from './excluded-only.ts';
import type { FoundDirectory } from './excluded-only.ts';

/** By what a look tells that a file was written, or that a directory gained or lost an entry. */
export interface Version {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

/** A regular file of a store. `path` is relative to the store, with `/`. */
export interface FileEntry extends Version {
  readonly path: string;
  readonly size: number;
  readonly mode: number;
}

/** Its version is older than the look at its entries. */
export interface DirectoryEntry extends Version {
  /** Relative to the store, with `/`; '' is the store itself. */
  readonly path: string;
  /** Permission bits. */
  readonly mode: number;
  /** It holds no content at all. */
  readonly isEmpty: boolean;
}

export interface ScanResult {
  /** Sorted by path, by UTF-16 code units. */
  readonly files: readonly FileEntry[];
  /** Sorted by path, so the store itself is the first. */
  readonly directories: readonly DirectoryEntry[];
  /** When a directory last gained or lost an entry, or got another mode. */
  readonly directoriesChangedNs: bigint;
  /** What no snapshot can hold, sorted: symbolic links, sockets, FIFOs, devices, and names that are not UTF-8. */
  readonly oddities: readonly Oddity[];
  /** What is no content, sorted, with directories that hold nothing else. Nothing below a directory that is excluded itself. */
  readonly leftAlone: readonly LeftAlone[];
}

export interface LeftAlone {
  readonly path: string;
  /** The pattern of the user that excludes it; undefined for what is a file system's own (`foreign.ts`). */
  readonly pattern: string | undefined;
}

export interface Oddity {
  readonly path: string;
  /** The end of a sentence that begins with the path. */
  readonly problem: string;
}

/** The scan of a store that is missing. */
export const emptyScan: ScanResult = {
  files: [],
  directories: [],
  directoriesChangedNs: 0n,
  oddities: [],
  leftAlone: [],
};

/** The agent's own directory inside a store that is a mount point; never part of the store's content. */
export const homeInsideStore = '.sync-agent';

/**
 * Lists a store's content. Symbolic links are not followed; what is foreign or excluded is neither opened nor entered. What
 * could not be restored on another host is told apart: a backup refuses it, and whoever only looks at a store goes on.
 * A file that vanishes while we look is left out.
 *
 * Files are looked at one after the other without a thread's help, which takes a fifteenth of the time: two looks at thousands
 * of files that rest for a moment only must not take seconds.
 */
export async function scanStore(dir: string, exclude: Exclusions = noExclusions): Promise<ScanResult> {
  const files: FileEntry[] = [];
  const found: FoundDirectory[] = [];
  const oddities: Oddity[] = [];
  const leftAlone: LeftAlone[] = [];
  let directoriesChangedNs = 0n;
  const breathe = makeBreather();
  const pending: { readonly relative: string; readonly parentDev?: bigint }[] = [{ relative: '' }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { relative, parentDev } = next;
    let entries = 0;
    let excludedBy: string | undefined;
    try {
      // The store may be a link to a directory.
      const { mode, dev, ino, mtimeNs, ctimeNs } =
        relative === '' ? statSync(dir, { bigint: true }) : lstatSync(join(dir, relative), { bigint: true });
      if (ctimeNs > directoriesChangedNs) directoriesChangedNs = ctimeNs;
      for (const entry of readdirSync(join(dir, relative), { withFileTypes: true })) {
        await breathe();
        if (relative === '' && entry.name === homeInsideStore) continue;
        const path = relative === '' ? entry.name : `${relative}/${entry.name}`;
        const pattern = excludingPattern(exclude, path, entry.isDirectory());
        if (pattern !== undefined || isForeign(join(dir, relative), entry, dev !== parentDev)) {
          leftAlone.push({ path, pattern });
          excludedBy ??= pattern;
          continue;
        }
        entries += 1;
        // Bytes that are not UTF-8 come out as U+FFFD, and the name that does is another one: nothing would be found.
        if (entry.name.includes('\uFFFD')) oddities.push({ path, problem: 'its name is not valid UTF-8' });
        else if (entry.isDirectory()) pending.push({ relative: path, parentDev: dev });
        else if (entry.isFile()) {
          const file = entryOf(path, lstatSync(join(dir, path), { bigint: true, throwIfNoEntry: false }));
          if (file !== undefined) files.push(file);
        } else oddities.push({ path, problem: 'it is not a regular file' });
      }
      const version = { dev, ino, mtimeNs, ctimeNs };
      found.push({ path: relative, mode: Number(mode & 0o777n), version, entries, excludedBy });
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT' || relative === '') throw error;
    }
  }
  const { directories, excluded } = withoutExcludedOnly(found);
  leftAlone.push(...excluded);
  for (const each of [files, directories, oddities, leftAlone])
    each.sort((a, b) => (a.path < b.path ? -1 : 1));
  return { files, directories, directoriesChangedNs, oddities, leftAlone };
}

/** Directories that hold nothing, sorted; the others follow from the files. */
export function emptyDirectoriesOf({ directories }: ScanResult): readonly string[] {
  return directories.filter(({ path, isEmpty }) => isEmpty && path !== '').map(({ path }) => path);
}

/** `scanStore` of a store that is to be backed up. Throws REFUSED where a snapshot could not hold all of it. */
export async function scanWholeStore(dir: string, exclude: Exclusions = noExclusions): Promise<ScanResult> {
  const scan = await scanStore(dir, exclude);
  const [first] = scan.oddities;
  if (first === undefined) return scan;
  throw new SyncAgentError('REFUSED', `Cannot back up "${first.path}": ${first.problem}`, {
    remedy: `Move symbolic links, sockets and devices out of the store, or leave it out with --exclude ${quoted(first.path)}`,
  });
}

/** As a pattern for a shell; what Node cannot spell is matched by "?". */
const quoted = (path: string): string => `'/${path.replace(/[\\*?[]/g, '\\$&').replaceAll('\uFFFD', '?')}'`;

/** The entry of one regular file, undefined when it does not exist. */
export async function statFile(dir: string, path: string): Promise<FileEntry | undefined> {
  try {
    return entryOf(path, await lstat(join(dir, path), { bigint: true }));
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** As `statFile`, at once. */
export function statFileNow(dir: string, path: string): FileEntry | undefined {
  return entryOf(path, lstatSync(join(dir, path), { bigint: true, throwIfNoEntry: false }));
}

/** The entry that `stats` make; undefined without any. Throws REFUSED for what is not a regular file. */
export function entryOf(path: string, stats: BigIntStats): FileEntry;
export function entryOf(path: string, stats: BigIntStats | undefined): FileEntry | undefined;
export function entryOf(path: string, stats: BigIntStats | undefined): FileEntry | undefined {
  if (stats === undefined) return undefined;
  if (!stats.isFile())
    throw new SyncAgentError('REFUSED', `Cannot back up "${path}": it is not a regular file`);
  return {
    path,
    size: Number(stats.size),
    mode: Number(stats.mode & 0o777n),
    dev: stats.dev,
    ino: stats.ino,
    mtimeNs: stats.mtimeNs,
    ctimeNs: stats.ctimeNs,
  };
}

/** Whether nothing was written between the two looks, as far as the file system tells. */
export function sameVersion(a: FileEntry, b: FileEntry): boolean {
  return a.size === b.size && sameTimes(a, b);
}

/** Whether it is the same file or directory, with the same times. */
export function sameTimes(a: Version, b: Version): boolean {
  return a.dev === b.dev && a.ino === b.ino && a.mtimeNs === b.mtimeNs && a.ctimeNs === b.ctimeNs;
}
