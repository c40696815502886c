import { join } from 'node:path';
import { SyncAgentError, throwIfAborted } from '../../platform/errors.ts';
import type { Body, PutOptions } from '../remote.ts';
import type { DirectoryDisk } from './directory-disk.ts';
import { isAdoptable, writeObject } from './directory-file.ts';
import { publishIfAbsent, publishLink, publishObject, withParents } from './directory-publish.ts';
import { statEntry } from './directory-tree.ts';

/** Where an object is to be. */
export interface ObjectPlace {
  readonly disk: DirectoryDisk;
  readonly root: string;
  readonly key: string;
  /** An unused name, relative to the root. */
  readonly temporaryName: () => string;
}

interface PutWork extends PutOptions {
  readonly action: string;
  /** Of the root. */
  readonly device: bigint | undefined;
  /** Told where the object's file is, as soon as it is there. */
  readonly onFile: (path: string) => Promise<void>;
}

/** Writes an object. The caller syncs its directory, and its file, too, if that is to be durable later. */
export function putObject(place: ObjectPlace, body: Body, work: PutWork): Promise<void> {
  return withTemporary(place, async (temporary) => {
    if (!(await adopt(place, body, { ...work, temporary }))) await write(place, body, { ...work, temporary });
  });
}

/**
 * Gives the file `source` the key as another name; or a copy of it if the file system cannot, which is synced. The caller syncs the
 * directory.
 */
export async function copyObject(place: ObjectPlace, source: string): Promise<void> {
  const { disk, root, key } = place;
  await withTemporary(place, async (temporary) => {
    if (await publishLink(disk, { root, key, source, temporary })) return;
    const copied = join(root, temporary);
    await withParents(disk, root, temporary, () => disk.copy(source, copied), source);
    await disk.sync(copied);
    await publishObject(disk, { root, key, temporary: copied });
  });
}

interface Temporary {
  /** An unused name on the root's file system, relative to the root. */
  readonly temporary: string;
}

/** Gives the body's own file the key as another name; false if it must be copied. */
async function adopt(
  { disk, root, key }: ObjectPlace,
  { file, size }: Body,
  { action, device, ifAbsent, durableLater, signal, onBytes, onFile, temporary }: PutWork & Temporary,
): Promise<boolean> {
  if (file === undefined || ifAbsent === true) return false;
  if (!isAdoptable(await statEntry(file), { size, device })) return false;
  if (durableLater === undefined) await disk.sync(file);
  throwIfAborted(signal, action);
  if (!(await publishLink(disk, { root, key, source: file, temporary }))) return false;
  await onFile(join(root, key));
  onBytes?.(size);
  return true;
}

async function write({ disk, root, key }: ObjectPlace, body: Body, work: PutWork & Temporary): Promise<void> {
  const temporary = join(root, work.temporary);
  await withParents(disk, root, work.temporary, () => writeObject(disk, temporary, { ...work, body }));
  await work.onFile(temporary);
  const publication = { root, key, temporary };
  if (work.ifAbsent !== true) await publishObject(disk, publication);
  else if (!(await publishIfAbsent(disk, publication)))
    throw new SyncAgentError('ALREADY_EXISTS', `Cannot ${work.action}: it already exists`);
}

/** Nothing is left under the temporary name when `use` fails. */
async function withTemporary<T>(
  { disk, root, temporaryName }: ObjectPlace,
  use: (temporary: string) => Promise<T>,
): Promise<T> {
  const temporary = temporaryName();
  try {
    return await use(temporary);
  } catch (error) {
    // The first error is reported. A file that stays behind is swept later.
    await disk.remove(join(root, temporary)).catch(() => {});
    throw error;
  }
}
