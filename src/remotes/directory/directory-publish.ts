import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { SyncAgentError, errnoOf } from '../../platform/errors.ts';
import type { DirectoryDisk } from './directory-disk.ts';
import { makeParents, statEntry, temporaryDirectory } from './directory-tree.ts';

/** File systems without hard links answer with one of these. */
const linkRefusals = ['EPERM', 'EXDEV', 'EMLINK', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'];
const publishAttempts = 50;
/** A claim lives for one rename. If it is older than this, its owner died. */
const staleClaimMs = 60_000;

function cannotLink(error: unknown): boolean {
  return linkRefusals.includes(errnoOf(error) ?? '');
}

export interface Publication {
  readonly root: string;
  readonly key: string;
  /** A complete, durable file in the temporary directory. It is moved away. */
  readonly temporary: string;
}

/** A file that gets the object's key as another name. */
export interface LinkPublication {
  readonly root: string;
  readonly key: string;
  /** A complete, durable file, which nobody writes to. */
  readonly source: string;
  /** An unused name in the temporary directory, relative to the root. */
  readonly temporary: string;
}

/** Replaces the object. A crash leaves the old object or the new one. The caller syncs the object's directory. */
export async function publishObject(
  disk: DirectoryDisk,
  { root, key, temporary }: Publication,
): Promise<void> {
  await withParents(disk, root, key, () => disk.rename(temporary, join(root, key)));
}

/**
 * The same by a hard link; false if the file system, or the place of the source, allows none. ENOENT if the source is missing.
 * A key that is new gets the link at once. An object is replaced by renaming another link onto it.
 */
export async function publishLink(
  disk: DirectoryDisk,
  { root, key, source, temporary }: LinkPublication,
): Promise<boolean> {
  try {
    await withParents(disk, root, key, () => disk.link(source, join(root, key)), source);
    return true;
  } catch (error) {
    if (cannotLink(error)) return false;
    if (errnoOf(error) !== 'EEXIST') throw error;
  }
  const other = join(root, temporary);
  try {
    await withParents(disk, root, temporary, () => disk.link(source, other), source);
  } catch (error) {
    if (cannotLink(error)) return false;
    throw error;
  }
  await publishObject(disk, { root, key, temporary: other });
  // If both names are links to one file, rename does nothing and keeps the source.
  await disk.remove(other);
  return true;
}

/**
 * Creates the object; false if it exists. A crash leaves no object or the whole one, and perhaps the temporary file.
 * Atomic among any number of hosts by `link`, or by an exclusive claim file if the file system has no links.
 */
export async function publishIfAbsent(disk: DirectoryDisk, publication: Publication): Promise<boolean> {
  const { root, key, temporary } = publication;
  const target = join(root, key);
  try {
    await withParents(disk, root, key, () => disk.link(temporary, target));
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false;
    if (!cannotLink(error)) throw error;
    return publishByClaim(disk, publication);
  }
  await disk.remove(temporary);
  return true;
}

async function publishByClaim(disk: DirectoryDisk, publication: Publication): Promise<boolean> {
  const { root, key, temporary } = publication;
  const claim = join(root, temporaryDirectory, `claim-${createHash('sha256').update(key).digest('hex')}`);
  try {
    await (await disk.openForWrite(claim, { exclusive: true })).close();
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
    if ((await statEntry(join(root, key))) !== undefined) return false;
    await removeStaleClaim(disk, claim, temporary);
    throw new SyncAgentError(
      'REMOTE_UNREACHABLE',
      `Cannot create "${key}" in ${root}: another host is creating it`,
      {
        retryable: true,
      },
    );
  }
  try {
    if ((await statEntry(join(root, key))) !== undefined) return false;
    await publishObject(disk, publication);
    return true;
  } finally {
    await disk.remove(claim);
  }
}

/** Both times are of the file system's own clock: the temporary file was written just now. */
async function removeStaleClaim(disk: DirectoryDisk, claim: string, temporary: string): Promise<void> {
  const [old, fresh] = [await statEntry(claim), await statEntry(temporary)];
  if (old !== undefined && fresh !== undefined && Number(fresh.mtimeMs - old.mtimeMs) > staleClaimMs)
    await disk.remove(claim);
}

/** A concurrent `remove` may take an empty parent away between its making and its use. */
export async function withParents(
  disk: DirectoryDisk,
  root: string,
  key: string,
  act: () => Promise<void>,
  source?: string,
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await makeParents(disk, root, key);
      await act();
      return;
    } catch (error) {
      disk.seen.forget();
      if (errnoOf(error) !== 'ENOENT' || attempt === publishAttempts) throw error;
      if (source !== undefined && (await statEntry(source)) === undefined) throw error;
    }
  }
}
