import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { assertOutside, locateHome } from '../../home/home.ts';
import { SyncAgentError, errnoOf } from '../../platform/errors.ts';
import type { Context } from '../context.ts';
import { archiveName } from './archive-layout.ts';

/** Where an archive is written. */
export interface ArchiveTarget {
  readonly path: string;
  readonly dir: string;
  /** Where it is while it is incomplete. */
  readonly partial: string;
}

/** What nobody has written for this long was left by a run that was killed, milliseconds. */
const abandonedMs = 3_600_000;

const partialName = /^\.sync-agent-archive-[0-9]+-[0-9a-f]{8}\.partial$/;

/**
 * A name that ends in `.zip` is a file; anything else is a directory, which is made, and the file in it gets a name of its own.
 * REFUSED for a file that is there, unless `force` replaces it.
 */
export async function chooseTarget(
  context: Context,
  to: string,
  { force }: { readonly force: boolean },
): Promise<ArchiveTarget> {
  const { home, clock } = context;
  const named = resolve(to);
  const isDirectory = !named.endsWith('.zip') || (await kindOf(named)) === 'directory';
  const name = isDirectory ? archiveName(basename(home.store), clock.now()) : basename(named);
  const given = isDirectory ? named : dirname(named);
  // With its symbolic links resolved, as far as it exists.
  const { store: dir } = await locateHome(given);
  assertOutside(home, dir, { action: 'Cannot archive to', mayBeStore: false });
  const path = join(dir, name);
  if ((await kindOf(path)) !== undefined && !force) {
    throw new SyncAgentError('REFUSED', `Cannot archive to "${path}": it exists`, {
      remedy: 'Name a new file, or a directory; --force replaces it',
    });
  }
  const partial = join(dir, `.sync-agent-archive-${process.pid}-${clock.randomHex(4)}.partial`);
  return { path, dir, partial };
}

/** Makes the directory, and removes what runs left there that were killed. */
export async function prepareDirectory({ fs, clock }: Context, { dir }: ArchiveTarget): Promise<void> {
  await fs.makeDirectory(dir, { mode: 0o755 });
  for (const name of (await readdir(dir)).filter((each) => partialName.test(each))) {
    const stats = await stat(join(dir, name)).catch(() => undefined);
    if (stats?.isFile() === true && clock.now() - stats.mtimeMs > abandonedMs)
      await fs.remove(join(dir, name));
  }
}

async function kindOf(path: string): Promise<'directory' | 'other' | undefined> {
  try {
    return (await stat(path)).isDirectory() ? 'directory' : 'other';
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}
