import { constants } from 'node:os';
import { getSystemErrorName } from 'node:util';
import { nodeFileSystem } from '../../src/platform/file-system.ts';
import type { FileSystem } from '../../src/platform/file-system.ts';

export type DiskError = 'ENOSPC' | 'EDQUOT' | 'EROFS' | 'EACCES';

export interface FullDiskOptions {
  /** The first change that fails, counted from 1, and all after it. */
  readonly failAt: number;
  readonly error: DiskError;
}

export interface FullDisk {
  readonly fs: FileSystem;
  /** What was asked for, in order. */
  readonly changes: readonly string[];
  /** Whether the failing change was reached. */
  hasFailed(): boolean;
}

/**
 * A disk that works up to its n-th change and then fails, for good, as Node tells it. A full disk still removes, renames
 * what is there and syncs; one that became read-only or foreign does nothing any more.
 */
export function fullDisk({ failAt, error }: FullDiskOptions, fs: FileSystem = nodeFileSystem): FullDisk {
  const changes: string[] = [];
  let hasFailed = false;
  const isFull = error === 'ENOSPC' || error === 'EDQUOT';
  const change = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    changes.push(name);
    if (changes.length >= failAt) {
      hasFailed = true;
      throw systemError(error, name);
    }
    return work();
  };
  /** Needs no room: works on a full disk, and is not counted for one. */
  const shrink = <T>(name: string, work: () => Promise<T>): Promise<T> =>
    isFull ? work() : change(name, work);
  return {
    changes,
    hasFailed: () => hasFailed,
    fs: {
      makeDirectory: (path, options) => change(`mkdir ${path}`, () => fs.makeDirectory(path, options)),
      // Into another directory, which may have to grow.
      rename: (from, to) => change(`rename ${from} ${to}`, () => fs.rename(from, to)),
      remove: (path) => shrink(`remove ${path}`, () => fs.remove(path)),
      link: (from, to) => change(`link ${from} ${to}`, () => fs.link(from, to)),
      copy: (from, to, options) => change(`copy ${from} ${to}`, () => fs.copy(from, to, options)),
      setAttributes: (path, attributes) => shrink(`set ${path}`, () => fs.setAttributes(path, attributes)),
      appendLine: (path, line) => change(`write ${path}`, () => fs.appendLine(path, line)),
      sync: (path) => fs.sync(path),
      syncAll: async () => false,
      openForWrite: async (path, options) => {
        const file = await change(`create ${path}`, () => fs.openForWrite(path, options));
        return {
          write: (bytes, position) => change(`write ${path}`, () => file.write(bytes, position)),
          truncate: (size) => shrink(`truncate ${path}`, () => file.truncate(size)),
          // Where allocation is delayed, this is what learns that there is no room.
          sync: () => change(`sync ${path}`, () => file.sync()),
          close: () => file.close(),
        };
      },
    },
  };
}

/** As Node reports it; libuv has no name for EDQUOT. */
function systemError(name: DiskError, what: string): Error {
  const errno = -constants.errno[name];
  const code = getSystemErrorName(errno);
  return Object.assign(new Error(`${code}: ${what}`), { errno, code, syscall: what.split(' ')[0] });
}
