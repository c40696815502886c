import { readFile, readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { SyncAgentError, errnoOf, messageOf } from '../platform/errors.ts';
import type { FileSystem, Owner } from '../platform/file-system.ts';
import type { Home } from './home.ts';

export interface OwnerOptions {
  /** `keep`: files belong to the user of this process. Default: to the owner of the store, or of the directory where it will be. */
  readonly owner?: string | undefined;
  readonly onWarning: (message: string) => void;
}

/** `user`, `user:group`, `uid:gid` or `keep`. */
export const ownerPattern = /^[^\s:]+(:[^\s:]+)?$/;

/**
 * A file system on which everything that is made belongs to the owner of the store. If root restores or backs up for another
 * user, that user can go on with the files and with the home beside them. For any other user than root it is `fs` itself.
 */
export async function ownedFileSystem(
  fs: FileSystem,
  { store, dir }: Pick<Home, 'store' | 'dir'>,
  options: OwnerOptions,
): Promise<FileSystem> {
  const { owner: asked, onWarning } = options;
  if (asked === 'keep') return fs;
  const [uid, gid] = [process.geteuid?.(), process.getegid?.()];
  if (uid === undefined || gid === undefined) return fs;
  const owner = asked === undefined ? await nearestOwner(store) : await ownerNamed(asked);
  if (owner.uid === uid && owner.gid === gid) return fs;
  if (uid !== 0) {
    if (asked !== undefined)
      onWarning(`Files stay those of user ${uid}: only root can give them to "${asked}"`);
    return fs;
  }
  let hasWarned = false;
  const onRefusal = (error: unknown): void => {
    if (!['EPERM', 'EINVAL', 'ENOTSUP', 'EROFS'].includes(errnoOf(error) ?? '')) throw error;
    if (!hasWarned)
      onWarning(`Files cannot be given to user ${owner.uid}, group ${owner.gid}: ${messageOf(error)}`);
    hasWarned = true;
  };
  const give = (path: string): Promise<void> => fs.setAttributes(path, { owner }).catch(onRefusal);
  for (const path of await ownedPaths(dir)) await give(path);
  return owned(fs, give);
}

/** What an earlier run as root may have made as its own: the home, the files in it, the operation log, and the directories of rollback copies. */
async function ownedPaths(dir: string): Promise<readonly string[]> {
  const below = async (path: string): Promise<readonly string[] | undefined> =>
    (await readdir(path).catch(() => undefined))?.map((name) => join(path, name));
  const [names, ...deeper] = await Promise.all(
    [dir, join(dir, 'rollback'), join(dir, 'operations')].map(below),
  );
  return names === undefined ? [] : [dir, ...names, ...deeper.flatMap((paths) => paths ?? [])];
}

function owned(fs: FileSystem, give: (path: string) => Promise<void>): FileSystem {
  return {
    ...fs,
    makeDirectory: async (path, options) => {
      const missing = await missingDirectories(path);
      await fs.makeDirectory(path, options);
      for (const directory of missing) await give(directory);
    },
    copy: async (from, to, options) => {
      await fs.copy(from, to, options);
      await give(to);
    },
    openForWrite: async (path, options) => {
      const file = await fs.openForWrite(path, options);
      await give(path);
      return file;
    },
  };
}

/** Parents first. */
async function missingDirectories(path: string): Promise<readonly string[]> {
  const found = await stat(path).catch(() => undefined);
  if (found !== undefined || dirname(path) === path) return [];
  return [...(await missingDirectories(dirname(path))), path];
}

/** The owner of the store, or of the nearest existing directory above it. */
async function nearestOwner(store: string): Promise<Owner> {
  const found = await stat(store).catch(() => undefined);
  if (found !== undefined) return { uid: found.uid, gid: found.gid };
  return dirname(store) === store ? { uid: 0, gid: 0 } : nearestOwner(dirname(store));
}

/** Looks names up in this host's own tables. A user of a directory service must be given by numbers. */
async function ownerNamed(text: string): Promise<Owner> {
  const [user = '', group] = text.split(':');
  const account = await entryOf('/etc/passwd', user);
  const uid = /^\d+$/.test(user) ? Number(user) : Number(account?.[2] ?? Number.NaN);
  const named = group === undefined ? account?.[3] : (await entryOf('/etc/group', group))?.[2];
  const gid = group !== undefined && /^\d+$/.test(group) ? Number(group) : Number(named ?? Number.NaN);
  if (isId(uid) && isId(gid)) return { uid, gid };
  throw new SyncAgentError(
    'USAGE',
    `Cannot give files to "${text}": this host knows no such ${isId(uid) ? 'group' : 'user'}`,
    { remedy: 'Give numbers, such as --owner 1000:1000' },
  );
}

const isId = (number: number): boolean => Number.isInteger(number) && number >= 0 && number < 2 ** 32 - 1;

/** The line for a name or a number in a table of this host. */
async function entryOf(table: string, key: string): Promise<readonly string[] | undefined> {
  const text = await readFile(table, 'utf8').catch(() => '');
  const lines = text.split('\n').map((line) => line.split(':'));
  return lines.find(([name]) => name === key) ?? lines.find((fields) => fields[2] === key);
}
