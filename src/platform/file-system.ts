import { constants } from 'node:fs';
import { chmod, copyFile, link, lstat, mkdir, open, rename, rm, utimes } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errnoOf } from './errors.ts';

/**
 * Every change the agent makes to the local disk outside SQLite passes through here, so that tests can cut the
 * power or fill the disk at each one. Reading needs no seam.
 */
export interface FileSystem {
  /** Creates the directory and its missing parents; existing is fine. New ones get `mode`, 0700 by default. */
  makeDirectory(path: string, options?: { readonly mode?: number }): Promise<void>;
  /** Atomic; replaces a file; EXDEV across file systems. Not durable before `sync` of both parents. */
  rename(from: string, to: string): Promise<void>;
  /** Removes a file or a whole tree; missing is fine. Never follows a symbolic link. */
  remove(path: string): Promise<void>;
  /** Hard link; EEXIST if `to` exists. */
  link(existing: string, to: string): Promise<void>;
  /** Copies bytes, by reflink where the file system can. The copy is private (0600) unless `mode` is given. */
  copy(from: string, to: string, options?: { readonly mode?: number }): Promise<void>;
  /** Opens for positioned writes, creating the file (0600). EEXIST with `exclusive` if it exists. */
  openForWrite(path: string, options?: { readonly exclusive?: boolean }): Promise<WritableFile>;
  setAttributes(
    path: string,
    attributes: { readonly mode?: number; readonly mtimeMs?: number; readonly owner?: Owner },
  ): Promise<void>;
  /** Makes a file's bytes, or a directory's entries, survive a power cut. */
  sync(path: string): Promise<void>;
}

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export interface WritableFile {
  /** Writes all of `bytes` at `position`. */
  write(bytes: Uint8Array, position: number): Promise<void>;
  truncate(size: number): Promise<void>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

export const nodeFileSystem: FileSystem = {
  makeDirectory: async (path, options) => {
    const mode = options?.mode ?? 0o700;
    await mkdir(path, { recursive: true, mode }).catch(async (error: unknown) => {
      if (errnoOf(error) !== 'ENOENT') throw error;
      // Node says ENOENT for a read-only disk too; asked for this one directory, it tells.
      await mkdir(path, { mode });
    });
  },
  rename,
  remove: (path) => rm(path, { recursive: true, force: true }),
  link,
  copy: async (from, to, options) => {
    await copyFile(from, to, constants.COPYFILE_FICLONE);
    await chmod(to, options?.mode ?? 0o600);
  },
  openForWrite: async (path, options) => {
    const flags =
      constants.O_WRONLY | constants.O_CREAT | (options?.exclusive === true ? constants.O_EXCL : 0);
    const handle = await open(path, flags | constants.O_NOFOLLOW, 0o600);
    return {
      write: async (bytes, position) => {
        for (let done = 0; done < bytes.byteLength;) {
          const { bytesWritten } = await handle.write(bytes, done, bytes.byteLength - done, position + done);
          done += bytesWritten;
        }
      },
      truncate: (size) => handle.truncate(size),
      sync: () => handle.sync(),
      close: () => handle.close(),
    };
  },
  setAttributes: async (path, { mode, mtimeMs, owner }) => {
    if (owner !== undefined) await setOwner(path, owner);
    if (mode !== undefined) await chmod(path, mode);
    if (mtimeMs === undefined) return;
    // As text: for a negative number Node takes the present time.
    const seconds = String(mtimeMs / 1000);
    await utimes(path, seconds, seconds);
  },
  sync: async (path) => {
    const handle = await open(path, 'r');
    try {
      await handle.sync();
    } catch (error) {
      // Some file systems cannot fsync a directory; they say so with EINVAL or ENOTSUP.
      if (!['EINVAL', 'ENOTSUP', 'EISDIR'].includes(errnoOf(error) ?? '')) throw error;
    } finally {
      await handle.close();
    }
  },
};

/**
 * Root does this in directories of others. Who could put a link there must not be given what it leads to: neither a symbolic
 * link nor a file that has another name is touched.
 */
async function setOwner(path: string, { uid, gid }: Owner): Promise<void> {
  const seen = await lstat(path);
  // Closing a descriptor drops the locks that this process has on the file: nothing is opened in vain.
  if (seen.uid === uid && seen.gid === gid) return;
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stats = await handle.stat();
    const isOurs = stats.isDirectory() || (stats.isFile() && stats.nlink === 1);
    if (isOurs && (stats.uid !== uid || stats.gid !== gid)) await handle.chown(uid, gid);
  } finally {
    await handle.close();
  }
}

/**
 * Replaces `path` by `text`, atomically and durably: a crash leaves the old content or the new one. A crash can
 * leave `<path>.tmp`, which the next call overwrites; callers hold the store's lock.
 */
export async function writeFileAtomic(fs: FileSystem, path: string, text: string): Promise<void> {
  const temporary = `${path}.tmp`;
  await fs.remove(temporary);
  await writeNewFile(fs, temporary, text);
  await fs.rename(temporary, path);
  await fs.sync(dirname(path));
}

/** Creates `path` with `text`, durably; EEXIST if it exists. */
export async function writeNewFile(fs: FileSystem, path: string, text: string): Promise<void> {
  const file = await fs.openForWrite(path, { exclusive: true });
  try {
    await file.write(Buffer.from(text, 'utf8'), 0);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** The years 1901 to 2446, which ext4 can hold. Other file systems and formats hold less or more, and no file is meant to be older or newer. */
const earliestMs = -(2 ** 31) * 1000;
const latestMs = (2 ** 34 - 2 ** 31 - 1) * 1000;

/**
 * A file's time in milliseconds since 1970, as a number that can be recorded, shown and set again. Some files have absurd times:
 * from archives with broken fields, from clocks that were never set, and on file systems that hold any 64-bit number.
 */
export function fileTimeMs(ns: bigint): number {
  const ms = Number(ns / 1_000_000n);
  return Math.min(Math.max(ms, earliestMs), latestMs);
}
