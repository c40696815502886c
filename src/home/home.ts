import { access, constants, readdir, readlink, realpath, stat } from 'node:fs/promises';
import type { Dirent } from 'node:fs';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { SyncAgentError, errnoOf, fromFileSystem, messageOf } from '../platform/errors.ts';
import { isExcluded, noExclusions } from '../stores/content/exclusions.ts';
import type { Exclusions } from '../stores/content/exclusions.ts';
import { isForeign } from '../stores/content/foreign.ts';
import { mountPoints } from '../platform/mounts.ts';
import { homeInsideStore } from '../stores/content/scan.ts';

/**
 * The directory where the agent keeps its own files for one store: lock, state, journal, staging and rollback copies. It is
 * always on the store's file system, so that a swap is a rename and never a copy.
 */
export interface Home {
  /** The store's directory: an absolute path without symbolic links. It need not exist. */
  readonly store: string;
  /** `.<name>.sync-agent` beside the store, or `.sync-agent` inside a store that cannot be renamed. */
  readonly dir: string;
  /** `rename`: the store is swapped as a whole. `entries`: it cannot be renamed, so its entries are swapped. */
  readonly swap: 'rename' | 'entries';
  /** The user's patterns for what in the store is not content. */
  readonly exclude?: Exclusions | undefined;
}

/** Rejects with DENIED if this user may not search a directory of the path, and with USAGE if the path cannot be a directory. */
export async function locateHome(storePath: string): Promise<Home> {
  const path = resolve(storePath);
  try {
    return await locate(path);
  } catch (error) {
    if (['ENOTDIR', 'ELOOP', 'ENAMETOOLONG'].includes(errnoOf(error) ?? '')) {
      throw new SyncAgentError('USAGE', `Cannot use "${path}" as a store: ${messageOf(error)}`, {
        remedy: 'Name the directory that holds the database',
        cause: error,
      });
    }
    throw explained(error, `Cannot use "${path}" as a store`);
  }
}

async function locate(storePath: string): Promise<Home> {
  const store = await resolveStore(storePath);
  const parent = dirname(store);
  const beside = join(parent, `.${basename(store)}.sync-agent`);
  const inside = join(store, homeInsideStore);
  if (store === parent || (await cannotBeRenamed(store, parent)))
    return { store, dir: inside, swap: 'entries' };
  return { store, dir: beside, swap: 'rename' };
}

export const lockPath = (home: Home): string => join(home.dir, 'lock');
/** The lock of the running agent. Each operation takes the one at `lockPath`. */
export const agentLockPath = (home: Home): string => join(home.dir, 'agent-lock');
/** The lock of the process that follows the store's own log. */
export const logLockPath = (home: Home): string => join(home.dir, 'log-lock');
export const agentStatusPath = (home: Home): string => join(home.dir, 'agent-status.json');
/** Touched to tell the running agent that the store was written. */
export const notifyPath = (home: Home): string => join(home.dir, 'notify');
export const statePath = (home: Home): string => join(home.dir, 'state.json');
export const journalPath = (home: Home): string => join(home.dir, 'journal.json');
export const stagingRoot = (home: Home): string => join(home.dir, 'staging');
/** Where the image or download of one attempt is put together. */
export const stagedData = (home: Home, attempt: string): string => join(stagingRoot(home), attempt, 'data');
/** Where who only reads the store, without its lock, keeps what it needs for that. */
export const scratchRoot = (home: Home): string => join(home.dir, 'scratch');
/** Where a new store is built. Only the holder of the lock at `buildLockPath` may touch it. */
export const buildRoot = (home: Home): string => join(home.dir, 'build');
export const buildLockPath = (home: Home): string => join(home.dir, 'build-lock');
/** Where a drill restores to. Only the holder of the lock at `drillLockPath` may touch it. */
export const drillRoot = (home: Home): string => join(home.dir, 'drill');
export const drillLockPath = (home: Home): string => join(home.dir, 'drill-lock');
export const rollbackRoot = (home: Home): string => join(home.dir, 'rollback');

/** Whether the store directory exists and has any content. The agent's own directory is not content. */
export async function storeExists(home: Home): Promise<boolean> {
  try {
    for (const entry of await readdir(home.store, { withFileTypes: true })) {
      if (entry.name === homeInsideStore || isLeftAlone(home, entry)) continue;
      return true;
    }
    return false;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw explained(error, `Cannot look at the store "${home.store}"`);
  }
}

/** Whether an entry of the store's root is foreign or excluded. */
function isLeftAlone({ store, exclude = noExclusions }: Home, entry: Dirent): boolean {
  return isExcluded(exclude, entry.name, entry.isDirectory()) || isForeign(store, entry, true);
}

/** A system error as an error that a user can act on. Any other error, a defect, stays as it is. */
function explained(error: unknown, action: string): unknown {
  return /^E[A-Z0-9]+$/.test(errnoOf(error) ?? '') ? fromFileSystem(error, action) : error;
}

/** A remote inside its store would back itself up. The files of a store inside its remote would be listed as objects. */
export async function assertApart(home: Home, directory: string): Promise<void> {
  const remote = await resolvePath(directory);
  for (const [inner, outer] of [
    [remote, home.store],
    [home.store, remote],
    [remote, home.dir],
  ] as const) {
    if (!isWithin(inner, outer)) continue;
    throw new SyncAgentError(
      'USAGE',
      `Cannot keep the store "${home.store}" in "${directory}": one is inside the other`,
      {
        remedy: 'Name a remote directory outside the store, preferably on another disk',
      },
    );
  }
}

/**
 * A directory inside the store would be backed up with it. One inside its home would be deleted or taken for a rollback copy.
 * `action`: the beginning of the message. `mayBeStore`: the store itself will do.
 */
export function assertOutside(
  home: Home,
  dir: string,
  { action, mayBeStore }: { readonly action: string; readonly mayBeStore: boolean },
): void {
  const isInside = !(mayBeStore && dir === home.store) && isWithin(dir, home.store);
  if (!isInside && !isWithin(dir, home.dir)) return;
  throw new SyncAgentError(
    'USAGE',
    isInside
      ? `${action} "${dir}": it is inside the store "${home.store}"`
      : `${action} "${dir}": it is inside "${home.dir}", which belongs to the store "${home.store}"`,
    { remedy: 'Name a new directory outside the store' },
  );
}

async function resolveStore(path: string): Promise<string> {
  try {
    const real = await realpath(path);
    if (!(await stat(real)).isDirectory()) {
      throw new SyncAgentError('USAGE', `Cannot use "${path}" as a store: it is not a directory`, {
        remedy: 'Name the directory that holds the database',
      });
    }
    return real;
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
  const parent = await resolvePath(dirname(path));
  // A link whose target was on a lost disk: a restore puts the store at the target.
  const target = await readlink(path).catch(() => undefined);
  return target === undefined ? join(parent, basename(path)) : resolveStore(resolve(parent, target));
}

/** Resolves symbolic links as far as the path exists. The missing rest is made below its nearest existing ancestor. */
async function resolvePath(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch {
    return dirname(path) === path ? path : join(await resolvePath(dirname(path)), basename(path));
  }
}

const isWithin = (inner: string, outer: string): boolean =>
  inner === outer || inner.startsWith(outer.endsWith(sep) ? outer : outer + sep);

async function cannotBeRenamed(store: string, parent: string): Promise<boolean> {
  const [self, above] = await Promise.all([statOrNone(store), statOrNone(parent)]);
  if (self === undefined || above === undefined) return false;
  if (self.dev !== above.dev || (await mountPoints()).has(store)) return true;
  return access(parent, constants.W_OK).then(
    () => false,
    // On a read-only disk the store cannot be written either, so the home stays beside it.
    (error: unknown) => errnoOf(error) !== 'EROFS',
  );
}

async function statOrNone(path: string): Promise<{ readonly dev: number } | undefined> {
  return stat(path).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  });
}
