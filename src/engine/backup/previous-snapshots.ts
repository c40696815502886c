import type { LogView } from '../../log/commit-log.ts';
import type { UploadFile } from '../../formats/content-format.ts';
import type { Manifest } from '../../log/manifest.ts';
import type { Context } from '../context.ts';
import { manifestIfReadable, newestManifest } from '../remote-log.ts';
import type { Lineage } from '../lineage.ts';
import { brokenObjects, findObjects, problemsOf } from '../relied-on.ts';
import { snapshotsOfSize } from '../restore/compare-content.ts';
import { snapshotContent } from '../snapshot-content.ts';
import type { StoreImage } from './image/capture-store.ts';
import { hasBytesOf } from './plan-backup.ts';
import type { BackupFacts } from './plan-backup.ts';

/** The same of a live snapshot, by its id. Only if it is whole, "nothing changed" is a good answer. */
export async function isWhole(context: Context, view: LogView, id: string): Promise<boolean> {
  const entry = view.snapshots.find((each) => each.entry.id === id)?.entry;
  const manifest = entry && (await manifestIfReadable(context, view, entry));
  return manifest !== undefined && hasAllObjects(context, manifest);
}

/** Whether every object of a snapshot is there. */
export const hasAllObjects = async (context: Context, manifest: Manifest): Promise<boolean> =>
  problemsOf(context, manifest, await findObjects(context, [manifest])).length === 0;

/** The snapshot to compare this store with: its parent, else the newest. */
export async function manifestBefore(
  context: Context,
  view: LogView,
  { parent }: Lineage,
): Promise<Manifest | undefined> {
  const known = parent === undefined ? undefined : await manifestOfParent(context, view, parent);
  return known ?? newestManifest(context, view);
}

/** The snapshot that this store grew from, as this host recorded it. */
export async function manifestOfParent(
  context: Context,
  view: LogView,
  parent: string,
): Promise<Manifest | undefined> {
  const entry = view.snapshots.find((each) => each.entry.id === parent)?.entry;
  return entry && manifestIfReadable(context, view, entry);
}

/** The snapshots that have as many bytes as an image: if no record says which one the store grew from, it is one of equal content. */
export function twinsBySize({ home }: Context, view: LogView, image: StoreImage): LogView['snapshots'] {
  return snapshotsOfSize(view.snapshots, image.files, home.exclude).toReversed();
}

/** The newest of them with the names and bytes of the image. `files`: those of the image, all of them hashed. */
export async function firstOfSameBytes(
  context: Context,
  work: {
    readonly view: LogView;
    readonly twins: LogView['snapshots'];
    readonly image: StoreImage;
    readonly files: readonly UploadFile[];
  },
): Promise<Manifest | undefined> {
  const { view, twins, image, files } = work;
  for (const { entry } of twins) {
    const manifest = await manifestIfReadable(context, view, entry);
    if (manifest !== undefined && hasBytesOf({ files }, contentHere(context, image, manifest)))
      return manifest;
  }
  return undefined;
}

/** The part of a snapshot that counts as content on this host. */
export const contentHere = (
  { home }: Pick<Context, 'home'>,
  image: Pick<StoreImage, 'leftAlone'>,
  manifest: Manifest,
): Manifest => snapshotContent(manifest, home.exclude, image.leftAlone);

/**
 * Looks for the objects that a backup of `files` could reuse. `lost` has the keys of those that are missing or cut.
 */
export async function lookAtBases(
  context: Context,
  bases: readonly (Manifest | undefined)[],
  files: readonly UploadFile[],
): Promise<{ readonly isHeld: BackupFacts['isHeld']; readonly lost: readonly string[] }> {
  const content = ({ sha256, size }: Pick<UploadFile, 'sha256' | 'size'>): string => `${sha256} ${size}`;
  const wanted = new Set(files.map(content));
  const partial = [...new Set(bases)]
    .filter((base) => base !== undefined)
    .map((base) => ({ ...base, files: base.files.filter((file) => wanted.has(content(file))) }));
  const found = await findObjects(context, partial);
  const lost = new Set<string>();
  const held = new Map<string, ReadonlySet<string>>();
  for (const base of partial) {
    const broken = brokenObjects(context, base, found);
    for (const { key } of broken) lost.add(key);
    const without = new Set(broken.map(({ path }) => path));
    const paths = base.files.map(({ path }) => path);
    held.set(base.id, new Set(paths.filter((path) => !without.has(path))));
  }
  return { isHeld: (id, path) => held.get(id)?.has(path) ?? false, lost: [...lost] };
}
