import type { FileEntry, ScanResult } from '../content/scan.ts';
import type { CatchUpOptions, CaughtUp } from './catch-up.ts';
import { catchUpFiles } from './catch-up-files.ts';
import type { ChangeTally } from './change-tally.ts';
import {
  contentOf,
  differences,
  filesOfDatabases,
  hotJournals,
  parentOf,
  touchedDirectories,
  without,
} from './compare-scans.ts';
import type { Fence } from './fence.ts';
import type { Image } from './image.ts';
import type { Listings } from './newcomers.ts';
import type { Look, Prepared } from './prepare.ts';

export interface AroundSubject {
  readonly dir: string;
  readonly image: Image;
  readonly prepared: Prepared;
  readonly listings: Listings;
  readonly fence: Fence;
  readonly tally: ChangeTally;
}

/** An image that is the store if nothing around the databases changed from the look before the fence to one after it. */
export interface Unconfirmed {
  /** Resolves to undefined if something changed up to `after`, a look that began when the fence was down. */
  confirm(after: Look): Promise<CaughtUp | undefined>;
}

/**
 * Under the fence: brings the databases and the few files that are likely to be written (`livelyFiles`) up to date, and leaves all
 * others alone, so writers wait no longer because there are more files.
 *
 * If every other file and directory has one version in the look before the fence (P) and in one after it (Q), and the image
 * holds that version, then the image equals those files at every instant in between. Nothing came and went unseen: that would
 * show in the times of its directory. They say nothing where databases are, since journals come and go there; so these directories
 * are listed under the fence, which is the captured instant.
 *
 * A database that could not be fenced is like any other file, provided that no journal says that a transaction writes it. Undefined
 * if one changed since, or if the databases do not let themselves be caught up with.
 */
export async function catchUpAround(
  { dir, image, prepared, listings, fence, tally }: AroundSubject,
  options: CatchUpOptions,
): Promise<Unconfirmed | undefined> {
  const { databases, look } = prepared;
  const unfenced = fence.unfenced.map(({ path }) => path);
  const fenced = databases.filter((path) => !unfenced.includes(path));
  if (unfenced.length > 0 && !areHeld(unfenced, look.scan, image)) return undefined;
  const lookedAtMs = options.clock.now();
  const newcomers = listings.newcomers();
  tally.note(newcomers);
  if (newcomers.length > 0) return undefined;
  const { lively: others, judge } = prepared;
  const files = await catchUpFiles({ dir, image, databases: fenced, others, judge, tally }, options);
  if (files === undefined) return undefined;

  return {
    confirm: async (after) => {
      const seen = new Set([...filesOfDatabases(fenced), ...others]);
      const p = without(contentOf(look.scan, databases), seen);
      const q = without(contentOf(after.scan, databases), seen);
      const places = new Set(databases.map(parentOf));
      const changed = [
        ...differences(p, q),
        ...touchedDirectories(p, q, places),
        ...hotJournals(after.scan, unfenced),
      ];
      tally.note([...new Set(changed)]);
      if (changed.length > 0) return undefined;
      const all = [...p.files, ...files].toSorted((a, b) => (a.path < b.path ? -1 : 1));
      await image.keepOnly(all);
      return { source: { ...p, files: all }, lookedAtMs };
    },
  };
}

/** Whether nobody was writing these databases, and the image holds them. */
function areHeld(databases: readonly string[], scan: ScanResult, image: Image): boolean {
  const paths = filesOfDatabases(databases);
  const isContent = (file: FileEntry): boolean => file.size > 0 || !file.path.endsWith('-wal');
  const files = scan.files.filter((file) => paths.has(file.path) && isContent(file));
  return hotJournals(scan, databases).length === 0 && files.every((file) => image.holds(file));
}
