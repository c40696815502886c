import { basename } from 'node:path';
import type { Context } from '../context.ts';
import { isArchiveName } from './archive-layout.ts';
import type { ArchiveTarget } from './archive-target.ts';
import { listArchives } from './list-archives.ts';

/**
 * Deletes the oldest archives beyond `maxBackups`. Only files count that have a name as ours and say in their comment that
 * they are archives of this store of this host. Resolves to the paths of those that it deleted.
 */
export async function pruneArchives(
  { fs, home, settings }: Context,
  { dir, path: written }: ArchiveTarget,
  maxBackups: number | undefined,
): Promise<readonly string[]> {
  if (maxBackups === undefined) return [];
  const name = basename(home.store);
  const { archives } = await listArchives(dir);
  const ours = archives.filter(
    ({ path, store, host }) =>
      path === written ||
      (isArchiveName(basename(path), name) && store === home.store && host === settings.host),
  );
  const older = ours.filter(({ path }) => path !== written);
  const doomed = older.slice(0, Math.max(0, older.length - (maxBackups - 1))).map(({ path }) => path);
  for (const path of doomed) await fs.remove(path);
  if (doomed.length > 0) await fs.sync(dir);
  return doomed;
}
