import type { Clock } from '../../platform/clock.ts';
import { statFile } from '../content/scan.ts';
import type { FileEntry } from '../content/scan.ts';
import type { UnfinishedWrites } from '../store-kind.ts';

export interface QuietOptions {
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
  /** How long to wait for writes that go on, milliseconds. */
  readonly activeMs: number;
  /** How long to wait for writes that do not go on, milliseconds. */
  readonly stalledMs: number;
  /** The longest pause between two looks at the files, milliseconds. */
  readonly pauseMs: number;
}

/**
 * Waits until none of `files` is in the middle of a write; resolves to those that still are when the time is over. Looks
 * only at the unfinished files, less and less often. A caller that needs all files to be at rest scans all of them afterwards.
 */
export async function waitUntilQuiet(
  dir: string,
  files: readonly FileEntry[],
  judge: (files: readonly FileEntry[], nowMs: number) => UnfinishedWrites,
  options: QuietOptions,
): Promise<UnfinishedWrites> {
  const { clock, signal } = options;
  const begin = clock.monotonic();
  let unfinished = judge(files, clock.now());
  for (let pauseMs = 5; unfinished.active.length + unfinished.stalled.length > 0; pauseMs *= 2) {
    const patienceMs = unfinished.active.length > 0 ? options.activeMs : options.stalledMs;
    if (clock.monotonic() - begin >= patienceMs) break;
    await clock.sleep(Math.min(pauseMs, options.pauseMs), { signal });
    const again = [...unfinished.active, ...unfinished.stalled].map(({ path }) => statFile(dir, path));
    const present = (await Promise.all(again)).filter((file) => file !== undefined);
    unfinished = judge(present, clock.now());
  }
  return unfinished;
}
