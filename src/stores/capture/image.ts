import { lstat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { makeBreather } from '../../platform/breathe.ts';
import type { Clock } from '../../platform/clock.ts';
import { errnoOf, throwIfAborted } from '../../platform/errors.ts';
import type { FileSystem } from '../../platform/file-system.ts';
import { isSettled } from '../content/fingerprint.ts';
import { sameVersion } from '../content/scan.ts';
import type { FileEntry } from '../content/scan.ts';
import type { Comparer } from './delta/comparer.ts';
import { openDeltaCopy } from './delta/delta-copy.ts';
import type { DeltaCopy, LaterMemory } from './delta/delta-copy.ts';

/**
 * A copy of a changing store that knows which version of each file it *holds*: the copy equals the file as long as the file
 * has this version, because the version was older than a timestamp tick when the copying began. A later write would show.
 */
export interface Image {
  /** Whether the copy provably equals this version of the file. */
  holds(file: FileEntry): boolean;
  /** The files, other than open databases, that it does not hold. */
  missing(files: readonly FileEntry[]): readonly FileEntry[];
  /** Copies what is missing. Files may change meanwhile. */
  copy(files: readonly FileEntry[]): Promise<void>;
  /** Opens databases, and copies those that it does not hold. Closes those that were open. They may change meanwhile. */
  openDatabases(paths: readonly string[]): Promise<void>;
  /**
   * Makes the copies of files and open databases equal to them, provided that nobody writes them meanwhile, as soon as `finish` is done.
   * False if a database is not the file any more that was opened. Those that are `fenced` stay as they are until they are closed.
   */
  catchUp(files: readonly FileEntry[], fenced: readonly string[]): Promise<boolean>;
  /** Writes what `catchUp` has read of databases. Writers need not wait for it. */
  finish(): Promise<void>;
  /** Removes copies of all other files. */
  keepOnly(files: readonly FileEntry[]): Promise<void>;
  closeDatabases(): void;
}

export interface ImageOptions {
  readonly fs: FileSystem;
  readonly clock: Pick<Clock, 'now'>;
  readonly comparer: Comparer;
  readonly signal?: AbortSignal | undefined;
}

/** So much is kept in memory until writers go on. */
const laterBytes = 16 * 1024 * 1024;

/** A database that was written in this time will likely be written while it is copied, and be compared afterwards. */
const livelyMs = 60_000;

export function openImage(dir: string, target: string, { fs, clock, comparer, signal }: ImageOptions): Image {
  const held = new Map<string, FileEntry>();
  const deltas = new Map<string, DeltaCopy>();
  const memory: LaterMemory = { leftBytes: laterBytes };
  /** Of open databases that nobody can write: the version that was read. */
  const read = new Map<string, FileEntry>();
  const directories = new Set<string>();
  const copies = new Set<string>();

  const targetOf = async (path: string): Promise<string> => {
    const to = join(target, path);
    const parent = dirname(to);
    if (!directories.has(parent)) {
      await fs.makeDirectory(parent);
      directories.add(parent);
    }
    copies.add(path);
    return to;
  };
  const isVersion = (version: FileEntry | undefined, file: FileEntry): boolean =>
    version !== undefined && sameVersion(version, file);
  const holds = (file: FileEntry): boolean => isVersion(held.get(file.path), file);
  /** `work` makes the copy of a file equal to it. The file had this version before. */
  const holding = async (file: FileEntry, beganMs: number, work: () => Promise<void>): Promise<void> => {
    held.delete(file.path);
    await work();
    if (isSettled([file], beganMs)) held.set(file.path, file);
  };
  const missing = (files: readonly FileEntry[]): readonly FileEntry[] =>
    files.filter((file) => !deltas.has(file.path) && !holds(file));
  const copy = async (files: readonly FileEntry[]): Promise<void> => {
    const beganMs = clock.now();
    const breathe = makeBreather();
    for (const file of missing(files)) {
      throwIfAborted(signal, 'Capture');
      const to = await targetOf(file.path);
      try {
        await holding(file, beganMs, () => fs.copy(join(dir, file.path), to));
      } catch (error) {
        // The source vanished, as files do while an application works. But our own directory may be gone instead.
        if (errnoOf(error) !== 'ENOENT' || (await lstat(target).catch(() => undefined)) === undefined)
          throw error;
      }
      await breathe();
    }
  };
  const closeDatabases = (): void => {
    for (const delta of deltas.values()) delta.close();
    deltas.clear();
    read.clear();
  };
  const finish = async (): Promise<void> => {
    for (const delta of deltas.values()) await delta.finish();
  };
  return {
    holds,
    missing,
    copy,
    openDatabases: async (paths) => {
      closeDatabases();
      for (const path of paths) {
        throwIfAborted(signal, 'Capture');
        const isCopied = copies.has(path);
        const delta = openDeltaCopy(join(dir, path), await targetOf(path), { fs, comparer, memory, path });
        deltas.set(path, delta);
        const file = delta.look();
        const wasWritten = clock.now() - Number(file.mtimeNs / 1_000_000n) < livelyMs;
        if (wasWritten) comparer.prepare(file.size);
        if (!holds(file))
          await holding(file, clock.now(), () => (isCopied ? delta.catchUp() : delta.copyAll()));
        await delta.finish();
        if (!wasWritten && !holds(delta.look())) comparer.prepare(file.size);
      }
    },
    catchUp: async (files, fenced) => {
      await copy(files);
      // A checkpoint moves pages from a log to its database, which may have other names, whoever is held back.
      const hasLog = files.some(({ path, size }) => path.endsWith('-wal') && size > 0);
      for (const file of files) {
        const delta = deltas.get(file.path);
        if (delta === undefined || holds(file) || isVersion(read.get(file.path), file)) continue;
        const { dev, ino } = delta.look();
        if (dev !== file.dev || ino !== file.ino) return false;
        await holding(file, clock.now(), () => delta.catchUp());
        if (fenced.includes(file.path) && !hasLog) read.set(file.path, file);
      }
      return true;
    },
    finish,
    keepOnly: async (files) => {
      const present = new Set(files.map((file) => file.path));
      for (const path of [...copies].filter((each) => !present.has(each))) {
        await fs.remove(join(target, path));
        copies.delete(path);
        held.delete(path);
      }
    },
    closeDatabases,
  };
}
