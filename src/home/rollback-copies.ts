import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { SyncAgentError, errnoOf } from '../platform/errors.ts';
import { totalBytes } from '../log/manifest.ts';
import type { FileSystem } from '../platform/file-system.ts';
import type { Home } from './home.ts';
import { rollbackRoot } from './home.ts';
import { mountsBelow } from '../platform/mounts.ts';
import { scanStore } from '../stores/content/scan.ts';

/** A store that a restore replaced. Its name begins with the time of that restore, so names sort by time. */
export interface RollbackCopy {
  readonly name: string;
  readonly bytes: number;
  readonly files: number;
}

const namePattern = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9A-Za-z.-]+$/;

/** All copies that hold any file, oldest first. */
export async function listRollbackCopies(home: Home): Promise<readonly RollbackCopy[]> {
  const copies = await describeCopies(home);
  return copies.filter(({ isEmpty }) => !isEmpty).map(({ name, bytes, files }) => ({ name, bytes, files }));
}

/** Whether there is a copy of this name that holds any file. */
export async function hasRollbackCopy(home: Home, name: string): Promise<boolean> {
  return (await listRollbackCopies(home)).some((copy) => copy.name === name);
}

/** Deletes empty copies, and all others except the newest `keep`. */
export async function pruneRollbackCopies(fs: FileSystem, home: Home, keep: number): Promise<void> {
  const copies = await describeCopies(home);
  const empty = copies.filter(({ isEmpty }) => isEmpty);
  const full = copies.filter(({ isEmpty }) => !isEmpty);
  for (const { name } of [...empty, ...full.slice(0, Math.max(0, full.length - keep))]) {
    const path = join(rollbackRoot(home), name);
    // Another volume may be mounted in a copy: it came along with the store, and must not be emptied.
    if ((await mountsBelow(path)).length === 0) await fs.remove(path);
  }
}

async function describeCopies(
  home: Home,
): Promise<readonly (RollbackCopy & { readonly isEmpty: boolean })[]> {
  const names = await copyNames(home);
  return Promise.all(
    names.map(async (name) => {
      const { files, oddities } = await scanStore(join(rollbackRoot(home), name));
      const isEmpty = files.length === 0 && oddities.length === 0;
      return { name, bytes: totalBytes(files), files: files.length, isEmpty };
    }),
  );
}

/** Rejects with NOT_FOUND if there is no such copy, and names the existing ones. */
export async function assertRollbackCopy(home: Home, name: string): Promise<void> {
  const names = await copyNames(home);
  if (names.includes(name)) return;
  throw new SyncAgentError('NOT_FOUND', `Cannot roll back to "${name}": there is no such copy`, {
    remedy: names.length === 0 ? 'No restore has replaced this store yet' : `Copies: ${names.join(', ')}`,
  });
}

async function copyNames(home: Home): Promise<readonly string[]> {
  try {
    const names = await readdir(rollbackRoot(home));
    return names.filter((name) => namePattern.test(name)).toSorted();
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}
