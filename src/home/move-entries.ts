import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../platform/errors.ts';
import type { FileSystem } from '../platform/file-system.ts';

/** A move between two directories of one file system. Each step is a rename, so an interrupted move can be done again. */
export interface Move {
  readonly from: string;
  readonly to: string;
  /** Whether a path, relative to `from`, stays where it is with everything in it. */
  readonly stays: (path: string) => boolean;
  /** Whether something below a path stays. */
  readonly holdsStaying: (path: string) => boolean;
}

/**
 * Moves all entries out of `from`. Some directories cannot be renamed: those that hold something that stays, and those in a
 * lower layer of an overlay (EXDEV). They are made again in `to`, their entries are moved, and they are removed once empty.
 */
export async function moveOut(fs: FileSystem, move: Move, relative = ''): Promise<void> {
  const { from, to } = move;
  await fs.makeDirectory(join(to, relative));
  for (const name of await namesIn(join(from, relative))) {
    const path = relative === '' ? name : `${relative}/${name}`;
    if (move.stays(path)) continue;
    const isDirectory = (await lstat(join(from, path))).isDirectory();
    if (!(isDirectory && move.holdsStaying(path))) {
      try {
        await fs.rename(join(from, path), await freePlace(join(to, path)));
        continue;
      } catch (error) {
        if (!isDirectory || errnoOf(error) !== 'EXDEV') throw error;
      }
    }
    await moveOut(fs, move, path);
    await fs.setAttributes(join(to, path), { mode: (await lstat(join(from, path))).mode & 0o7777 });
    if ((await namesIn(join(from, path))).length === 0) await fs.remove(join(from, path));
  }
  await fs.sync(join(to, relative));
  await fs.sync(join(from, relative));
}

/**
 * Moves all entries into `to`. A directory there that holds something that stays is filled. With `fillsAll` every existing
 * directory is filled, because a `moveOut` may have been interrupted in it. Anything else that is in the way goes to `aside`.
 */
export async function moveIn(
  fs: FileSystem,
  move: Move & { readonly aside: string; readonly fillsAll?: boolean },
  relative = '',
): Promise<void> {
  const { from, to, aside } = move;
  for (const name of await namesIn(join(from, relative))) {
    const path = relative === '' ? name : `${relative}/${name}`;
    const place = join(to, path);
    const [source, present] = await Promise.all([lstat(join(from, path)), lstatOrNone(place)]);
    const isFilled = move.fillsAll === true || move.holdsStaying(path);
    if (present?.isDirectory() === true && source.isDirectory() && isFilled) {
      await moveIn(fs, move, path);
      await fs.setAttributes(place, { mode: source.mode & 0o7777 });
      await fs.remove(join(from, path));
      continue;
    }
    if (present !== undefined) {
      await fs.makeDirectory(join(aside, relative));
      await fs.rename(place, await freePlace(join(aside, path)));
    }
    await fs.rename(join(from, path), place);
  }
  await fs.sync(join(to, relative));
}

/**
 * `path`, or a free name beside it. The path is taken if a program made a new store while a swap was interrupted. That one is
 * kept too.
 */
export async function freePlace(path: string): Promise<string> {
  for (let number = 1; ; number += 1) {
    const candidate = number === 1 ? path : `${path}.${number}`;
    if ((await lstatOrNone(candidate)) === undefined) return candidate;
  }
}

export async function namesIn(path: string): Promise<readonly string[]> {
  return readdir(path).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  });
}

export async function lstatOrNone(path: string) {
  return lstat(path).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return undefined;
    throw error;
  });
}
