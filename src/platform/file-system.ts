import {
  chmodSync,
  constants,
  fsync,
  ftruncate,
  linkSync,
  renameSync,
  rmdirSync,
  unlinkSync,
  utimesSync,
  write,
  writeSync,
} from 'node:fs';
import {
  chmod,
  copyFile,
  link,
  lstat,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  rmdir,
  unlink,
  utimes,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { copySmallFile } from './disk/copy-small-file.ts';
import { syncAll } from './disk/sync-all.ts';
import { errnoOf } from './errors.ts';
import { openDescriptor, quickBytes } from './quick/descriptor.ts';
import type { Descriptor } from './quick/descriptor.ts';
import { quickCalls } from './quick/quick-calls.ts';

/**
 * Every change that the agent makes to the local disk, except those of SQLite, goes through this interface. So tests can cut
 * the power or fill the disk at each change. Reads do not go through it.
 */
export interface FileSystem {
  /** Creates the directory and its missing parents with `mode`, 0700 by default. An existing directory is no error. */
  makeDirectory(path: string, options?: { readonly mode?: number }): Promise<void>;
  /** Atomic. Replaces a file. EXDEV across file systems. Durable only after `sync` of both parents. */
  rename(from: string, to: string): Promise<void>;
  /** Removes a file or a whole tree. A missing one is no error. Never follows a symbolic link. */
  remove(path: string): Promise<void>;
  /** Makes a hard link. EEXIST if `to` exists. */
  link(existing: string, to: string): Promise<void>;
  /**
   * Copies a file, by reflink if the file system can. The copy gets `mode`, 0600 by default. A small file is copied by short
   * calls that block, as long as these are quick: whoever copies many lets other work run now and then (`makeBreather`).
   */
  copy(from: string, to: string, options?: { readonly mode?: number }): Promise<void>;
  /** Opens a file for positioned writes, and creates it (0600) if it is missing. With `exclusive`, EEXIST if it exists. */
  openForWrite(path: string, options?: { readonly exclusive?: boolean }): Promise<WritableFile>;
  /**
   * Adds a line at the end of an existing text file, in one write: several processes may do so at once. A line that somebody left cut is
   * ended first. ENOENT if there is no file. After a failure a part of it may be there.
   */
  appendLine(path: string, line: string): Promise<void>;
  setAttributes(
    path: string,
    attributes: { readonly mode?: number; readonly mtimeMs?: number; readonly owner?: Owner },
  ): Promise<void>;
  /** Makes a file's bytes, or a directory's entries, survive a power cut. */
  sync(path: string): Promise<void>;
  /**
   * The same, by one call, for all that was written to the file system that `path` is on. False if that is not to be had here, or
   * has failed: then `sync` each, which says what is wrong.
   */
  syncAll(path: string): Promise<boolean>;
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

const newline = 0x0a;

const later = {
  write: promisify(write),
  ftruncate: promisify(ftruncate),
  fsync: promisify(fsync),
};

export const nodeFileSystem: FileSystem = {
  makeDirectory: async (path, options) => {
    const mode = options?.mode ?? 0o700;
    await mkdir(path, { recursive: true, mode }).catch(async (error: unknown) => {
      if (errnoOf(error) !== 'ENOENT') throw error;
      // Node also says ENOENT if the disk is read-only. Without `recursive` it says which of the two it is.
      await mkdir(path, { mode });
    });
  },
  rename: async (from, to) =>
    quickCalls.make(
      () => renameSync(from, to),
      () => rename(from, to),
    ),
  remove: async (path) => {
    try {
      await quickCalls.make(
        () => unlinkSync(path),
        () => unlink(path),
      );
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return;
      // A directory is EISDIR or EPERM, depending on the system. What else is in the way is tried again, and told.
      await removeTree(path).catch(() => rm(path, { recursive: true, force: true }));
    }
  },
  link: async (existing, to) =>
    quickCalls.make(
      () => linkSync(existing, to),
      () => link(existing, to),
    ),
  copy: async (from, to, options) => {
    const isCopied = await quickCalls.make(
      () => copySmallFile(from, to, options?.mode),
      async () => false,
    );
    if (isCopied) return;
    await copyFile(from, to, constants.COPYFILE_FICLONE);
    await chmod(to, options?.mode ?? 0o600);
  },
  openForWrite: async (path, options) => {
    const exclusive = options?.exclusive === true ? constants.O_EXCL : 0;
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW | exclusive;
    return writableFile(await openDescriptor(path, flags));
  },
  appendLine: async (path, line) => {
    const file = await open(path, constants.O_RDWR | constants.O_APPEND | constants.O_NOFOLLOW);
    try {
      const { size } = await file.stat();
      const last = Buffer.from('\n');
      if (size > 0) await file.read(last, 0, 1, size - 1);
      const bytes = Buffer.from(`${last[0] === newline ? '' : '\n'}${line}\n`);
      const { bytesWritten } = await file.write(bytes);
      // The next write would say why.
      if (bytesWritten < bytes.byteLength) await file.write(bytes.subarray(bytesWritten));
    } finally {
      await file.close();
    }
  },
  setAttributes: async (path, { mode, mtimeMs, owner }) => {
    if (owner !== undefined) await setOwner(path, owner);
    if (mode !== undefined) {
      await quickCalls.make(
        () => chmodSync(path, mode),
        () => chmod(path, mode),
      );
    }
    if (mtimeMs === undefined) return;
    // As text: Node takes a negative number for the current time.
    const seconds = String(mtimeMs / 1000);
    await quickCalls.make(
      () => utimesSync(path, seconds, seconds),
      () => utimes(path, seconds, seconds),
    );
  },
  sync: async (path) => {
    const { number: descriptor, close } = await openDescriptor(path, constants.O_RDONLY);
    try {
      await later.fsync(descriptor);
    } catch (error) {
      // Some file systems cannot fsync a directory. They answer with EINVAL or ENOTSUP.
      if (!['EINVAL', 'ENOTSUP', 'EISDIR'].includes(errnoOf(error) ?? '')) throw error;
    } finally {
      await close();
    }
  },
  syncAll,
};

/** Like `rm`, which hands each call to another thread. */
async function removeTree(directory: string): Promise<void> {
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) {
      await removeTree(path);
    } else {
      await quickCalls.make(
        () => unlinkSync(path),
        () => unlink(path),
      );
    }
  }
  await quickCalls.make(
    () => rmdirSync(directory),
    () => rmdir(directory),
  );
}

function writableFile({ number: descriptor, close }: Descriptor): WritableFile {
  return {
    write: async (bytes, position) => {
      for (let done = 0; done < bytes.byteLength;) {
        const length = bytes.byteLength - done;
        const writeLater = async (): Promise<number> =>
          (await later.write(descriptor, bytes, done, length, position + done)).bytesWritten;
        done += await (length > quickBytes
          ? writeLater()
          : quickCalls.make(() => writeSync(descriptor, bytes, done, length, position + done), writeLater));
      }
    },
    truncate: (size) => later.ftruncate(descriptor, size),
    // Waits for the disk, so it is worth a thread: several wait together, and share what they wait for.
    sync: () => later.fsync(descriptor),
    close,
  };
}

/**
 * Root calls this in directories of other users. A user who puts a link there must not become the owner of its target. So
 * symbolic links, and files that have a second name, are left as they are.
 */
async function setOwner(path: string, { uid, gid }: Owner): Promise<void> {
  const seen = await lstat(path);
  // Closing a descriptor drops every lock that this process has on the file. So do not open it without need.
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

export interface WriteOptions {
  /** False: after a crash of the machine it may be without its bytes. Default: true. */
  readonly isDurable?: boolean;
}

/**
 * Replaces the content of `path`, atomically and, by default, durably: after a crash it is the old or the new one. A crash can
 * leave `<path>.tmp` behind, which the next call removes. The caller must hold the store's lock.
 */
export async function writeFileAtomic(
  fs: FileSystem,
  path: string,
  content: FileContent,
  { isDurable = true }: WriteOptions = {},
): Promise<void> {
  const temporary = `${path}.tmp`;
  await fs.remove(temporary);
  await writeNewFile(fs, temporary, content, { isDurable });
  await fs.rename(temporary, path);
  if (isDurable) await fs.sync(dirname(path));
}

/** Text, or bytes in pieces. */
export type FileContent = string | AsyncIterable<Uint8Array>;

/** Creates `path` with `content`, by default durably. EEXIST if it exists. */
export async function writeNewFile(
  fs: FileSystem,
  path: string,
  content: FileContent,
  { isDurable = true }: WriteOptions = {},
): Promise<void> {
  const file = await fs.openForWrite(path, { exclusive: true });
  try {
    let position = 0;
    for await (const chunk of typeof content === 'string' ? [Buffer.from(content, 'utf8')] : content) {
      await file.write(chunk, position);
      position += chunk.byteLength;
    }
    if (isDurable) await file.sync();
  } finally {
    await file.close();
  }
}

/** The years 1901 to 2446: the range of ext4. Other file systems and formats have other ranges. */
const earliestMs = -(2 ** 31) * 1000;
const latestMs = (2 ** 34 - 2 ** 31 - 1) * 1000;

/**
 * A file's time in milliseconds since 1970, limited to what can be recorded, shown and set again. Absurd times are real: they
 * come from archives with broken fields, from clocks that were never set, and from file systems that hold any 64-bit number.
 */
export function fileTimeMs(ns: bigint): number {
  const ms = Number(ns / 1_000_000n);
  return Math.min(Math.max(ms, earliestMs), latestMs);
}
