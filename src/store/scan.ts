import { lstat, opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { SyncAgentError, errnoOf } from '../errors.ts';

/** A regular file of a store. `path` is relative to the store, with `/`. */
export interface FileEntry {
  readonly path: string;
  readonly size: number;
  readonly mode: number;
  readonly dev: bigint;
  readonly ino: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

export interface ScanResult {
  /** Sorted by path, by UTF-16 code units. */
  readonly files: readonly FileEntry[];
  /** Directories that hold nothing at all, sorted; the others follow from the files. */
  readonly emptyDirectories: readonly string[];
}

/** The agent's own directory inside a store that is a mount point; never part of the store's content. */
export const homeInsideStore = '.sync-agent';

/**
 * Lists a store without following symbolic links. A symbolic link, socket, FIFO or device is refused: it could not
 * be restored on another host. A file that vanishes while we look is left out.
 */
export async function scanStore(dir: string): Promise<ScanResult> {
  const files: FileEntry[] = [];
  const emptyDirectories: string[] = [];
  const pending = [''];
  for (let relative = pending.pop(); relative !== undefined; relative = pending.pop()) {
    let entries = 0;
    try {
      for await (const entry of await opendir(join(dir, relative))) {
        if (relative === '' && entry.name === homeInsideStore) continue;
        entries += 1;
        const path = relative === '' ? entry.name : `${relative}/${entry.name}`;
        if (entry.isDirectory()) pending.push(path);
        else if (entry.isFile()) {
          const file = await statFile(dir, path);
          if (file !== undefined) files.push(file);
        } else {
          throw new SyncAgentError('REFUSED', `Cannot back up "${path}": it is not a regular file`, {
            remedy: 'Move symbolic links, sockets and devices out of the store',
          });
        }
      }
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT' || relative === '') throw error;
      continue;
    }
    if (entries === 0 && relative !== '') emptyDirectories.push(relative);
  }
  files.sort((a, b) => (a.path < b.path ? -1 : 1));
  emptyDirectories.sort();
  return { files, emptyDirectories };
}

/** The entry of one regular file, undefined when it does not exist. */
export async function statFile(dir: string, path: string): Promise<FileEntry | undefined> {
  try {
    const stats = await lstat(join(dir, path), { bigint: true });
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
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Whether nothing was written between the two looks, as far as the file system tells. */
export function sameVersion(a: FileEntry, b: FileEntry): boolean {
  return (
    a.dev === b.dev &&
    a.ino === b.ino &&
    a.size === b.size &&
    a.mtimeNs === b.mtimeNs &&
    a.ctimeNs === b.ctimeNs
  );
}
