import { lstatSync } from 'node:fs';
import type { Dirent } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

export type EntryKind = 'file' | 'directory' | 'other';

interface Foreign {
  readonly name: RegExp;
  readonly kinds: readonly EntryKind[];
  /** Only at the root of a file system: of the store, or of a mount within it. */
  readonly isTop: boolean;
}

const anywhere = (name: RegExp, ...kinds: readonly EntryKind[]): Foreign => ({ name, kinds, isTop: false });
const atTheTop = (name: RegExp, ...kinds: readonly EntryKind[]): Foreign => ({ name, kinds, isTop: true });

/**
 * What file systems and platforms put into a directory by themselves. It is nobody's content: never captured, counted,
 * moved or deleted, and no reason to fail. A name is here only if no application could mean it; whatever else should be
 * left out is for `--exclude`.
 */
const foreign: readonly Foreign[] = [
  // mkfs.ext4, fsck; mode 0700, owned by root.
  anywhere(/^lost\+found$/, 'directory'),
  // Quota files of an ext4 volume, readable by root only.
  atTheTop(/^aquota\.(user|group)$/, 'file'),
  // A file that was deleted while open, on NFS: `.nfs` and hexadecimal digits (Linux), or with full stops (BSD, macOS).
  anywhere(/^\.nfs(\.?[0-9][0-9A-Za-z.]*|[0-9A-Fa-f]{8,})$/, 'file', 'other'),
  // The same on a FUSE file system.
  anywhere(/^\.fuse_hidden[0-9A-Za-z]+$/, 'file', 'other'),
  // Snapshots that the file system shows as directories: NetApp and other filers, btrfs with snapper, ZFS, Synology.
  atTheTop(/^(\.snapshots?|\.zfs|~snapshot|#snapshot)$/, 'directory'),
  // A whiteout of aufs and of image layers. That of overlayfs is a device, see `isWhiteout`.
  anywhere(/^\.wh\../, 'file', 'directory', 'other'),
  // Rubbish bins of desktops and network storage.
  atTheTop(/^(\.Trash-[0-9]+|\.Trashes|\.trashcan|\$RECYCLE\.BIN|#recycle|@Recycle)$/, 'directory'),
  atTheTop(/^System Volume Information$/, 'directory'),
  // Index files of macOS.
  atTheTop(/^(\.Spotlight-V100|\.fseventsd|\.TemporaryItems|\.DocumentRevisions-V100)$/, 'directory'),
  anywhere(/^\.DS_Store$/, 'file'),
  // Thumbnails and attributes that Synology and QNAP keep in each directory.
  anywhere(/^(@eaDir|\.@__thumb)$/, 'directory'),
];

/** Whether the entry is a file system's or a platform's own. Looks at the disk only for a device. */
export function isForeign(dir: string, entry: Dirent, isTop: boolean): boolean {
  if (entry.isCharacterDevice()) return isWhiteout(join(dir, entry.name));
  return isForeignName(entry.name, kindOf(entry), isTop);
}

/** By the name alone, for entries that are on no disk. Without `kind`: whether it is foreign as any kind. */
export function isForeignName(name: string, kind: EntryKind | undefined, isTop: boolean): boolean {
  return foreign.some(
    (each) =>
      (isTop || !each.isTop) && each.name.test(name) && (kind === undefined || each.kinds.includes(kind)),
  );
}

/** The same for a path below a store, of a snapshot for instance: whether it, or a directory that it is in, is foreign. */
export function isForeignPath(path: string, kind: EntryKind): boolean {
  const names = path.split('/');
  return names.some((name, depth) =>
    isForeignName(name, depth === names.length - 1 ? kind : 'directory', depth === 0),
  );
}

/** Names in `dir` itself, a store's root, that are foreign; none when there is no such directory. */
export async function foreignNames(dir: string): Promise<ReadonlySet<string>> {
  const entries = await readdir(dir, { withFileTypes: true }).catch(() => []);
  const found = new Set<string>();
  for (const entry of entries) if (isForeign(dir, entry, true)) found.add(entry.name);
  return found;
}

export function kindOf(entry: Pick<Dirent, 'isFile' | 'isDirectory'>): EntryKind {
  return entry.isDirectory() ? 'directory' : entry.isFile() ? 'file' : 'other';
}

/** What overlayfs leaves in its upper directory for a deleted file: the device 0/0. */
function isWhiteout(path: string): boolean {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  return stats?.isCharacterDevice() === true && stats.rdev === 0;
}
