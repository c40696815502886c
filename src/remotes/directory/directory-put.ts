import type { BigIntStats } from 'node:fs';
import { join } from 'node:path';
import { SyncAgentError, throwIfAborted } from '../../platform/errors.ts';
import type { Body, PutOptions } from '../remote.ts';
import type { DirectoryDisk } from './directory-disk.ts';
import { isAdoptable, writeObject } from './directory-file.ts';
import { publishIfAbsent, publishLink, publishObject } from './directory-publish.ts';
import { makeParents, statEntry } from './directory-tree.ts';

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
  /** Told of the entry of the object's file, as soon as it is there. */
  readonly onFile: (entry: BigIntStats | undefined) => void;
}

/** Writes an object. The caller syncs its directory. */
export function putObject(place: ObjectPlace, body: Body, work: PutWork): Promise<void> {
  return withTemporary(place, async (temporary) => {
    if (!(await adopt(place, body, { ...work, temporary }))) await write(place, body, { ...work, temporary });
  });
}

/** Gives the file `source` the key as another name, or a copy of it if the file system cannot. The caller syncs the directory. */
export async function copyObject(place: ObjectPlace, source: string): Promise<void> {
  const { disk, root, key } = place;
  await withTemporary(place, async (temporary) => {
    if (await publishLink(disk, { root, key, source, temporary })) return;
    const copied = await temporary();
    await disk.copy(source, copied);
    await disk.sync(copied);
    await publishObject(disk, { root, key, temporary: copied });
  });
}

interface Temporary {
  /** Resolves to an unused path on the root's file system. */
  readonly temporary: () => Promise<string>;
}

/** Gives the body's own file the key as another name; false if it must be copied. */
async function adopt(
  { disk, root, key }: ObjectPlace,
  { file, size }: Body,
  { action, device, ifAbsent, signal, onBytes, onFile, temporary }: PutWork & Temporary,
): Promise<boolean> {
  if (file === undefined || ifAbsent === true) return false;
  if (!isAdoptable(await statEntry(file), { size, device })) return false;
  await disk.sync(file);
  throwIfAborted(signal, action);
  if (!(await publishLink(disk, { root, key, source: file, temporary }))) return false;
  onFile(await statEntry(join(root, key)));
  onBytes?.(size);
  return true;
}

async function write({ disk, root, key }: ObjectPlace, body: Body, work: PutWork & Temporary): Promise<void> {
  const temporary = await work.temporary();
  await writeObject(disk, temporary, { ...work, body });
  work.onFile(await statEntry(temporary));
  const publication = { root, key, temporary };
  if (work.ifAbsent !== true) await publishObject(disk, publication);
  else if (!(await publishIfAbsent(disk, publication)))
    throw new SyncAgentError('ALREADY_EXISTS', `Cannot ${work.action}: it already exists`);
}

/** Makes the place for a temporary file, if asked; nothing is left there when `use` fails. */
async function withTemporary<T>(
  { disk, root, temporaryName }: ObjectPlace,
  use: (temporary: () => Promise<string>) => Promise<T>,
): Promise<T> {
  let temporary: string | undefined;
  const make = async (): Promise<string> => {
    const name = temporaryName();
    await makeParents(disk, root, name);
    return (temporary = join(root, name));
  };
  try {
    return await use(make);
  } catch (error) {
    // The first error is reported. A file that stays behind is swept later.
    if (temporary !== undefined) await disk.remove(temporary).catch(() => {});
    throw error;
  }
}
