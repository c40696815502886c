import { errnoOf } from '../../platform/errors.ts';
import { isFresh, tickMs, unsettledFiles } from '../content/fingerprint.ts';
import { sameVersion, scanWholeStore } from '../content/scan.ts';
import type { FileEntry, ScanResult } from '../content/scan.ts';
import type { CaptureOptions } from '../adapter.ts';
import type { CaptureKind, UnfinishedWrites } from '../store-kind.ts';
import { pathsOf } from './catch-up.ts';
import type { ChangeTally } from './change-tally.ts';
import { contentOf, filesOfDatabases, parentOf, without } from './compare-scans.ts';
import type { Image } from './image.ts';
import { livelyFiles } from './lively-files.ts';
import { waitUntilQuiet } from './wait-until-quiet.ts';

/** A server that persists one index after the other pauses only once the fence holds it, so waiting longer is no use. */
const activeMs = 2000;

/** Databases are brought up to date once more when so much time has passed: what was written meanwhile is copied while writers wait. */
const staleMs = { afterCopying: 500, beforeFence: 100 };

/** A look at all files. */
export interface Look {
  readonly scan: ScanResult;
  /** When it began, by `clock.now()`. */
  readonly lookedAtMs: number;
}

export interface Prepared {
  readonly databases: readonly string[];
  /** The last look before the fence. */
  readonly look: Look;
  /** Of the files that are no databases those that the fence should not leave alone. */
  readonly lively: readonly string[];
  /** The files, databases aside, that are in the middle of a write, or too young for their times to prove anything. */
  readonly judge: (files: readonly FileEntry[], nowMs: number) => UnfinishedWrites;
  /** Outside of the databases nothing was in the middle of a write, and the image holds every file as the look found it. */
  readonly isHeld: boolean;
}

export interface PrepareSubject {
  readonly dir: string;
  readonly kind: CaptureKind;
  readonly image: Image;
  readonly tally: ChangeTally;
  readonly findDatabases: (scan: ScanResult) => Promise<readonly string[]>;
}

export interface PrepareOptions extends CaptureOptions {
  /** By `clock.monotonic()`. */
  readonly deadline: number;
  /** A look that was taken just now. */
  readonly before: Look | undefined;
}

export async function lookAt(dir: string, { clock, exclude }: CaptureOptions): Promise<Look> {
  const lookedAtMs = clock.now();
  return { scan: await scanWholeStore(dir, exclude), lookedAtMs };
}

/**
 * Copies the store while writers go on, and waits until files outside SQLite's protection rest. Undefined if it is to be done
 * again: a database vanished, or a write does not go on.
 *
 * Looks at all files twice, and again after it had to wait. The second look finds what was written during the copying, so that
 * the fence is not raised in vain. A store without databases has no fence, and is looked at once.
 */
export async function prepare(
  { dir, kind, image, tally, findDatabases }: PrepareSubject,
  options: PrepareOptions,
): Promise<Prepared | undefined> {
  const { clock, signal, deadline } = options;
  try {
    let look = options.before ?? (await lookAt(dir, options));
    const databases = await findDatabases(look.scan);
    const covered = filesOfDatabases(databases);
    const othersOf = ({ scan }: Look): readonly FileEntry[] =>
      without(contentOf(scan, databases), covered).files;
    let openedMs = -Infinity;
    const refresh = async (afterMs: number): Promise<void> => {
      if (clock.monotonic() - openedMs <= afterMs) return;
      await image.openDatabases(databases);
      openedMs = clock.monotonic();
    };
    await refresh(0);
    await image.copy(contentOf(look.scan, databases).files);
    await refresh(staleMs.afterCopying);
    if (databases.length > 0) look = await lookAt(dir, options);

    const judge = (files: readonly FileEntry[], nowMs: number): UnfinishedWrites => {
      const { active, stalled } = kind.unfinishedWrites(files, nowMs, options.unfinishedMs);
      return { active: [...active, ...unsettledFiles(files, nowMs)], stalled };
    };
    const places = new Set(databases.map(parentOf));
    const begin = clock.monotonic();
    // Writers are not held back for a write that does not go on: they cannot end it.
    const stalledMs = Math.max(0, deadline - begin);
    const until = begin + Math.min(activeMs, stalledMs);
    let isQuiet = false;
    for (;;) {
      const others = othersOf(look);
      const { lookedAtMs } = look;
      const isTouched = look.scan.directories.some(
        (each) => !places.has(each.path) && isFresh(each, lookedAtMs),
      );
      isQuiet = !isTouched && pathsOf(judge(others, clock.now())).length === 0;
      if (isQuiet || clock.monotonic() >= until) break;
      const patience = { clock, signal, activeMs: until - clock.monotonic(), stalledMs, pauseMs: 50 };
      const moving = await waitUntilQuiet(dir, others, judge, patience);
      tally.note(pathsOf(moving));
      if (moving.stalled.length > 0) return undefined;
      if (isTouched) await clock.sleep(tickMs, { signal });
      look = await lookAt(dir, options);
    }
    await image.copy(contentOf(look.scan, databases).files);
    await refresh(staleMs.beforeFence);
    const others = othersOf(look);
    const lively = databases.length === 0 ? [] : livelyFiles(others, clock.now());
    return { databases, look, lively, judge, isHeld: isQuiet && image.missing(others).length === 0 };
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
    return undefined;
  }
}

/** Asks of each version of a file once whether it is a database, since that opens it. */
export function findDatabasesOnce(
  dir: string,
  kind: CaptureKind,
): (scan: ScanResult) => Promise<readonly string[]> {
  let asked = new Map<string, FileEntry>();
  let found = new Set<string>();
  return async (scan) => {
    const isKnown = (file: FileEntry): boolean => {
      const before = asked.get(file.path);
      return before !== undefined && sameVersion(before, file);
    };
    const files = scan.files.filter((file) => !isKnown(file));
    const fresh = new Set(await kind.findDatabases(dir, { ...scan, files }));
    const databases = scan.files.filter(
      (file) => fresh.has(file.path) || (isKnown(file) && found.has(file.path)),
    );
    asked = new Map(scan.files.map((file) => [file.path, file]));
    found = new Set(databases.map(({ path }) => path));
    return [...found];
  };
}
