import type { Stats } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { SyncAgentError, errnoOf, isSyncAgentError, messageOf } from '../platform/errors.ts';
import type { FileSystem, Owner } from '../platform/file-system.ts';
import type { Home } from './home.ts';
import { lstatOrNone } from './move-entries.ts';
import { emptyScan, scanStore } from '../stores/content/scan.ts';

/**
 * Keeps excluded files through a swap. Each one gets a second name, a hard link, in `data`, which is about to become the store.
 * A program that has the file open goes on writing to it, the old store keeps it too, and a crash only leaves garbage in
 * staging. On a file system without hard links the file is copied.
 *
 * Resolves to the names in the store's root that stay there, which means that the store must be swapped entry by entry. These
 * are: foreign entries; excluded entries that can have no second name; and, if entries are swapped anyway (`byEntries`), all
 * excluded ones. Rejects with REFUSED if something cannot be kept. Then nothing was moved.
 */
export async function carryOver(
  fs: FileSystem,
  home: Home,
  { data, byEntries }: { readonly data: string; readonly byEntries: boolean },
): Promise<readonly string[]> {
  const { leftAlone } = await scanStore(home.store, home.exclude).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return emptyScan;
    throw error;
  });
  const isTop = ({ path }: { readonly path: string }): boolean => !path.includes('/');
  const foreign = leftAlone.filter((each) => each.pattern === undefined && isTop(each));
  const excluded = outermost(
    leftAlone.filter(({ pattern }) => pattern !== undefined).map(({ path }) => path),
  );
  const taken = new Set(await readdir(data));
  const mayStay = (path: string): boolean => isTop({ path }) && !taken.has(path);
  const staying = byEntries || foreign.length > 0 ? excluded.filter(mayStay) : [];
  const touched = new Set<string>();
  for (const path of excluded.filter((each) => !staying.includes(each))) {
    try {
      await carry(fs, { from: home.store, data, path, touched });
    } catch (error) {
      if (!isSyncAgentError(error, 'REFUSED') || !mayStay(path)) throw error;
      await fs.remove(join(data, path));
      staying.push(path);
    }
  }
  for (const directory of [...touched].toSorted().toReversed())
    if (!staying.some((name) => isWithin(directory, join(data, name)))) await fs.sync(directory);
  return [...foreign.map(({ path }) => path), ...staying];
}

interface Carried {
  readonly from: string;
  readonly data: string;
  /** Relative to both. */
  readonly path: string;
  /** Directories that got a new entry, and must be synced. */
  readonly touched: Set<string>;
}

async function carry(fs: FileSystem, work: Carried): Promise<void> {
  const { from, data, path, touched } = work;
  const [source, target] = [join(from, path), join(data, path)];
  try {
    if (path.includes('\uFFFD')) throw new Error('its name is not valid UTF-8');
    await carryParents(fs, work);
    const stats = await lstatOrNone(source);
    if (stats === undefined) return;
    if (stats.isDirectory()) {
      await fs.makeDirectory(target);
      await fs.setAttributes(target, attributesOf(stats));
      touched.add(target);
      for (const name of await readdir(source)) await carry(fs, { ...work, path: `${path}/${name}` });
    } else {
      await fs.remove(target);
      await fs.link(source, target).catch(async (error: unknown) => {
        if (!stats.isFile() || !linkErrors.includes(errnoOf(error) ?? '')) throw error;
        await fs.copy(source, target);
        await fs.setAttributes(target, attributesOf(stats));
        await fs.sync(target);
      });
      touched.add(dirname(target));
    }
  } catch (error) {
    if (error instanceof SyncAgentError || errnoOf(error) === 'ENOSPC' || errnoOf(error) === 'EDQUOT')
      throw error;
    throw new SyncAgentError('REFUSED', `Cannot keep "${source}", which is excluded: ${messageOf(error)}`, {
      remedy: 'Move it out of the store, or restore with --skip-backup, which replaces file by file',
      cause: error,
    });
  }
}

/** Errors of link(2) after which a copy helps: another device, a file that this user may not link, a file system without links. */
const linkErrors: readonly string[] = [
  'EXDEV',
  'EPERM',
  'EACCES',
  'EMLINK',
  'ENOTSUP',
  'EOPNOTSUPP',
  'ENOSYS',
];

/** Makes the missing parents in `data`, with the modes that they have in the store. */
async function carryParents(fs: FileSystem, { from, data, path, touched }: Carried): Promise<void> {
  const names = path.split('/').slice(0, -1);
  for (const depth of names.keys()) {
    const parent = names.slice(0, depth + 1).join('/');
    const present = await lstatOrNone(join(data, parent));
    if (present?.isDirectory() === false) throw new Error(`the snapshot has a file at "${parent}"`);
    if (present !== undefined) continue;
    await fs.makeDirectory(join(data, parent));
    await fs.setAttributes(join(data, parent), attributesOf(await lstat(join(from, parent))));
    touched.add(dirname(join(data, parent)));
  }
}

/** Only root can give files to another user. Root's copy of a user's file must stay that user's. */
function attributesOf({ mode, uid, gid }: Stats): { readonly mode: number; readonly owner?: Owner } {
  return { mode: mode & 0o7777, ...(process.geteuid?.() === 0 ? { owner: { uid, gid } } : {}) };
}

/** The paths that are not below another one of them. */
function outermost(paths: readonly string[]): readonly string[] {
  const all = new Set(paths);
  return paths.filter((path) => {
    const names = path.split('/');
    return !names.some((_, depth) => depth > 0 && all.has(names.slice(0, depth).join('/')));
  });
}

const isWithin = (path: string, dir: string): boolean => path === dir || path.startsWith(`${dir}/`);
