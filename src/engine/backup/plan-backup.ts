import type { FileSource, ReusedFile, UploadFile } from '../../formats/content-format.ts';
import type { Manifest, ManifestDirectory, ManifestFile } from '../../log/manifest.ts';
import { totalBytes } from '../../log/manifest.ts';
import type { StoreStatistics } from '../../stores/adapter.ts';
import { isSimplerKind } from '../../stores/find-kind.ts';

export type ImageFile = Omit<ManifestFile, 'in' | 'parts' | 'sha256'>;

/** What was captured, by the names and sizes of its files. */
export interface CapturedTree {
  readonly adapter: Manifest['adapter'];
  readonly files: readonly ImageFile[];
  /** Permission bits of the store itself. */
  readonly mode: number;
  /** All directories below the store, by path. */
  readonly directories: readonly ManifestDirectory[];
  readonly emptyDirectories: readonly string[];
}

/** What was captured, to be compared with earlier snapshots. */
export interface CapturedStore extends CapturedTree {
  readonly files: readonly UploadFile[];
  /** Undefined as long as nobody has counted. */
  readonly statistics: StoreStatistics | undefined;
}

export type BackupPlan =
  | { readonly type: 'unchanged' }
  /** The store lost too much. `reason` completes "Cannot back up …: ". */
  | { readonly type: 'refuse'; readonly reason: string }
  | {
      readonly type: 'commit';
      readonly upload: readonly UploadFile[];
      /** Files whose bytes an earlier snapshot has. */
      readonly reuse: readonly ReusedFile[];
      /** By path: what the base has in the place of a file of `upload`. */
      readonly earlier: ReadonlyMap<string, FileSource>;
      readonly uploadBytes: number;
      readonly reuseBytes: number;
    };

export interface BackupFacts {
  readonly captured: CapturedStore;
  /** The snapshot the store grew from, if it is still live. */
  readonly parent: Manifest | undefined;
  /** The newest snapshot, whoever made it. */
  readonly newest: Manifest | undefined;
  /** Commit even if the content is that of a snapshot: somebody asked for it. */
  readonly isAnew: boolean;
  /** Commit even if the content is the parent's: the commit settles the tips that the parent was chosen over. */
  readonly isCommitDue: boolean;
  readonly allowShrink: boolean;
  readonly maxShrink: number;
  /** Whether the remote has what a file of `parent` or `newest` relies on. */
  readonly isHeld: (snapshotId: string, path: string) => boolean;
  /** Format of the new snapshot. Only a snapshot of the same format has something to reuse. */
  readonly format: number;
  /** Have the server copy no part of a changed file: somebody may not trust what it has. */
  readonly sendsWhole: boolean;
}

/** Decides what a backup of `captured` does. Pure. */
export function planBackup(facts: BackupFacts): BackupPlan {
  const { captured, parent, newest } = facts;
  const base = parent ?? newest;
  const mayRest = !facts.isAnew && !facts.isCommitDue;
  if (mayRest && base !== undefined && isHeldBy(base, facts)) {
    if (base.files.every(({ path }) => facts.isHeld(base.id, path))) return { type: 'unchanged' };
  }
  const reason = facts.allowShrink ? undefined : shrinkage(captured, base, facts.maxShrink);
  if (reason !== undefined) return { type: 'refuse', reason };

  const known = new Map<string, FileSource>();
  const content = ({ sha256, size }: UploadFile): string => `${sha256} ${size}`;
  const samePlace = (file: UploadFile): string => `${content(file)} ${file.path}`;
  for (const snapshot of [newest, parent]) {
    if (snapshot?.format !== facts.format) continue;
    for (const file of snapshot.files) {
      if (!facts.isHeld(snapshot.id, file.path)) continue;
      known.set(content(file), { snapshot, file });
      known.set(samePlace(file), { snapshot, file });
    }
  }
  const upload: UploadFile[] = [];
  const reuse: ReusedFile[] = [];
  for (const file of captured.files) {
    // Linked history can refer to a file of the same path only.
    const source = known.get(samePlace(file)) ?? known.get(content(file));
    if (source === undefined) upload.push(file);
    else reuse.push({ file: reusedFile(file, source), source });
  }
  return {
    type: 'commit',
    upload,
    reuse,
    earlier: base?.format === facts.format && !facts.sendsWhole ? samePaths(base, upload) : new Map(),
    uploadBytes: totalBytes(upload),
    reuseBytes: totalBytes(reuse.map(({ file }) => file)),
  };
}

function reusedFile(file: UploadFile, { file: { sha256, parts } }: FileSource): ManifestFile {
  return { ...file, sha256, ...(parts === undefined ? {} : { parts }) };
}

function samePaths(snapshot: Manifest, files: readonly UploadFile[]): ReadonlyMap<string, FileSource> {
  const wanted = new Set(files.map(({ path }) => path));
  return new Map(
    snapshot.files.filter(({ path }) => wanted.has(path)).map((file) => [file.path, { snapshot, file }]),
  );
}

/** If the remote has a newer snapshot than the base, changed permissions alone are no reason for a commit. */
function isHeldBy(base: Manifest, { captured, newest }: BackupFacts): boolean {
  return base.id === newest?.id ? hasContentOf(captured, base) : hasBytesOf(captured, base);
}

/**
 * Whether the store holds exactly what the snapshot holds: names, bytes and permissions. Times do not count. Nor does the
 * mode of the store itself: if it is a mount point, the platform sets it.
 */
export function hasContentOf(
  store: Pick<CapturedStore, 'files' | 'directories' | 'emptyDirectories'>,
  manifest: Pick<Manifest, 'files' | 'directories' | 'emptyDirectories'>,
): boolean {
  const key = (file: UploadFile): string => `${file.path}\0${file.size} ${file.sha256} ${file.mode}`;
  const theirs = new Set(manifest.files.map(key));
  return (
    store.files.length === theirs.size &&
    store.files.every((file) => theirs.has(key(file))) &&
    (manifest.directories === undefined || modesOf(store.directories) === modesOf(manifest.directories)) &&
    store.emptyDirectories.toSorted().join('\0') === manifest.emptyDirectories.toSorted().join('\0')
  );
}

/** Whether the store holds the snapshot's names and bytes, whatever its permissions and empty directories. */
export function hasBytesOf(store: Pick<CapturedStore, 'files'>, manifest: Pick<Manifest, 'files'>): boolean {
  const key = ({ path, size, sha256 }: UploadFile): string => `${path}\0${size} ${sha256}`;
  const theirs = new Set(manifest.files.map(key));
  return store.files.length === theirs.size && store.files.every((file) => theirs.has(key(file)));
}

/** Without the owner's rights: a restore always gives them. */
const modesOf = (directories: readonly ManifestDirectory[]): string =>
  directories
    .map(({ path, mode }) => `${path}\0${mode | 0o700}`)
    .toSorted()
    .join('\0');

/** Why a store that grew from `base` lost too much to be committed, as far as it was counted. Undefined if it did not. */
export function shrinkage(
  captured: Pick<CapturedTree, 'adapter'> & {
    readonly files: readonly { readonly size: number }[];
    readonly statistics: Pick<StoreStatistics, 'records'> | undefined;
  },
  base: Manifest | undefined,
  maxShrink: number,
): string | undefined {
  if (base === undefined) return undefined;
  // A store that lost its database looks like a simpler kind of store, and sound as such.
  if (isSimplerKind(captured.adapter, base.adapter)) {
    return `it looks like a ${captured.adapter} store, snapshot ${base.id} is of a ${base.adapter} store`;
  }
  const { statistics } = captured;
  const records = { now: statistics?.records, was: base.statistics.records, unit: 'records' };
  const bytes = { now: totalBytes(captured.files), was: totalBytes(base.files), unit: 'bytes' };
  for (const { now, was, unit } of [records, bytes]) {
    if (now === undefined) continue;
    if (was > 0 && now === 0) return `it is empty, snapshot ${base.id} has ${was} ${unit}`;
    if (now < was * (1 - maxShrink)) return `it has ${now} ${unit}, snapshot ${base.id} has ${was}`;
  }
  return undefined;
}
