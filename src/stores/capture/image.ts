import { lstat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errnoOf } from '../../platform/errors.ts';
import { openDeltaCopy } from './delta-copy.ts';
import type { DeltaCopy } from './delta-copy.ts';
import type { FileSystem } from '../../platform/file-system.ts';
import { isSettled } from '../content/fingerprint.ts';
import { sameVersion } from '../content/scan.ts';
import type { FileEntry, ScanResult } from '../content/scan.ts';

/** A copy of a changing store that knows which version of each file it holds. */
export interface Image {
  /** Copies files that are not held in their present version, and opens the databases. Files may change meanwhile. */
  prepare(content: ScanResult, databases: readonly string[], nowMs: number): Promise<void>;
  /** Copies files that are not databases and not held in their present version. */
  update(content: ScanResult, nowMs: number): Promise<void>;
  /** Bytes that `catchUp` would have to copy, without the databases. */
  missingBytes(content: ScanResult): number;
  /** Makes the copy equal to `content`, provided that the store does not change meanwhile. */
  catchUp(content: ScanResult, nowMs: number): Promise<void>;
  closeDatabases(): void;
}

export function openImage(fs: FileSystem, dir: string, target: string): Image {
  /** The versions held, of files other than databases. */
  const held = new Map<string, FileEntry>();
  const deltas = new Map<string, DeltaCopy>();
  /** The versions of databases that their copies are known to equal, while these are open. */
  const settled = new Map<string, FileEntry>();
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
  const isHeld = (file: FileEntry): boolean => {
    const version = held.get(file.path);
    return deltas.has(file.path) || (version !== undefined && sameVersion(version, file));
  };
  const catchUpDatabases = async (content: ScanResult, nowMs: number): Promise<void> => {
    for (const file of content.files) {
      const delta = deltas.get(file.path);
      const version = settled.get(file.path);
      if (delta === undefined || (version !== undefined && sameVersion(version, file))) continue;
      settled.delete(file.path);
      await delta.catchUp();
      if (isSettled([file], nowMs)) settled.set(file.path, file);
    }
  };
  const copyChanged = async (content: ScanResult, nowMs: number): Promise<void> => {
    for (const file of content.files.filter((each) => !isHeld(each))) {
      held.delete(file.path);
      const to = await targetOf(file.path);
      try {
        await fs.copy(join(dir, file.path), to);
      } catch (error) {
        // The source vanished, as files do while an application works. But our own directory may be gone instead.
        if (errnoOf(error) === 'ENOENT' && (await lstat(target).catch(() => undefined)) !== undefined)
          continue;
        throw error;
      }
      if (isSettled([file], nowMs)) held.set(file.path, file);
    }
  };
  const dropVanished = async (content: ScanResult): Promise<void> => {
    const present = new Set(content.files.map((file) => file.path));
    for (const path of [...copies].filter((each) => !present.has(each))) {
      await fs.remove(join(target, path));
      copies.delete(path);
      held.delete(path);
    }
  };
  const closeDatabases = (): void => {
    for (const delta of deltas.values()) delta.close();
    deltas.clear();
    settled.clear();
  };
  return {
    prepare: async (content, databases, nowMs) => {
      closeDatabases();
      const present = new Set(content.files.map((file) => file.path));
      for (const path of databases.filter((each) => present.has(each))) {
        held.delete(path);
        const isCopied = copies.has(path);
        const files = { source: join(dir, path), target: await targetOf(path), isCopied };
        deltas.set(path, await openDeltaCopy(fs, files));
      }
      await copyChanged(content, nowMs);
    },
    update: copyChanged,
    missingBytes: (content) =>
      content.files.filter((file) => !isHeld(file)).reduce((sum, file) => sum + file.size, 0),
    catchUp: async (content, nowMs) => {
      await copyChanged(content, nowMs);
      await catchUpDatabases(content, nowMs);
      await dropVanished(content);
    },
    closeDatabases,
  };
}
