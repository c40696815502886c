import type { Fence } from './fence.ts';
import { unsettledFiles } from '../content/fingerprint.ts';
import type { Image } from './image.ts';
import { contentOf, differences, filesOfDatabases, hotJournals } from './compare-scans.ts';
import type { ChangeTally } from './change-tally.ts';
import { scanWholeStore } from '../content/scan.ts';
import type { FileEntry, ScanResult } from '../content/scan.ts';
import type { CaptureOptions } from '../adapter.ts';
import { waitUntilQuiet } from './wait-until-quiet.ts';
import type { CaptureKind, UnfinishedWrites } from '../store-kind.ts';

export interface CatchUpSubject {
  readonly dir: string;
  readonly kind: CaptureKind;
  readonly image: Image;
  readonly databases: readonly string[];
  readonly fence: Fence;
  readonly tally: ChangeTally;
}

export interface CatchUpOptions extends CaptureOptions {
  /** How long the store may go on changing, milliseconds. Writers wait meanwhile. */
  readonly patienceMs: number;
  /** How many bytes may be left to copy, databases aside. Writers wait for that, too. */
  readonly budgetBytes: number;
}

export interface CaughtUp {
  readonly source: ScanResult;
  /** When the scan of `source` began, by `clock.now()`. */
  readonly lookedAtMs: number;
}

/**
 * Looks at all files (A), makes the image equal to them, and looks again (B). The image is done when A = B. If not, it copies
 * the differences and looks once more, instead of letting the writers go and beginning again: under the fence nothing new can be
 * committed, so the application's unfinished work, such as making the folder of a collection or ending a persist, comes to an end.
 *
 * Undefined if the store changed all the time, or if too much is left to copy to keep writers waiting for it.
 */
export async function catchUp(
  subject: CatchUpSubject,
  options: CatchUpOptions,
): Promise<CaughtUp | undefined> {
  const { dir, kind, image, databases, fence, tally } = subject;
  const { clock, signal } = options;
  const until = clock.monotonic() + options.patienceMs;
  const unfenced = new Set(fence.unfenced.map(({ path }) => path));
  const fenced = databases.filter((path) => !unfenced.has(path));
  const covered = filesOfDatabases(fenced);
  // The fence protects the files that it covers. The others must be old enough for their times to prove anything.
  const judge = (files: readonly FileEntry[], nowMs: number): UnfinishedWrites => {
    const { active, stalled } = kind.unfinishedWrites(files, nowMs, options.unfinishedMs);
    const others = files.filter((file) => !covered.has(file.path));
    return { active: [...active, ...unsettledFiles(others, nowMs)], stalled };
  };
  do {
    const lookedAtMs = clock.now();
    const scan = await scanWholeStore(dir, options.exclude);
    const hot = hotJournals(scan, [...unfenced]);
    tally.note(hot);
    if (hot.length > 0) return undefined;
    const before = contentOf(scan, databases);
    const nowMs = clock.now();
    const moving = pathsOf(judge(before.files, nowMs));
    if (moving.length > 0) {
      tally.note(moving);
      const activeMs = until - clock.monotonic();
      const patience = { clock, signal, activeMs, stalledMs: 0, pauseMs: 20 };
      const still = await waitUntilQuiet(dir, before.files, judge, patience);
      if (pathsOf(still).length > 0) return undefined;
      continue;
    }
    if (bytesOf(image.missing(before.files)) > options.budgetBytes) return undefined;
    if (!(await image.catchUp(before.files, fenced))) return undefined;
    await image.keepOnly(before.files);
    const changed = differences(before, contentOf(await scanWholeStore(dir, options.exclude), databases));
    if (changed.length === 0) return { source: before, lookedAtMs };
    tally.note(changed);
  } while (clock.monotonic() < until);
  return undefined;
}

export function bytesOf(files: readonly FileEntry[]): number {
  return files.reduce((sum, { size }) => sum + size, 0);
}

export function pathsOf({ active, stalled }: UnfinishedWrites): readonly string[] {
  return [...new Set([...active, ...stalled].map(({ path }) => path))];
}
