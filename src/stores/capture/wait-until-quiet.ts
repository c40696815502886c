import type { Clock } from '../../platform/clock.ts';
import { statFile } from '../content/scan.ts';
import type { FileEntry } from '../content/scan.ts';
import type { UnfinishedWrites } from '../store-kind.ts';

export interface QuietOptions {
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
  /** For how long writes that go on are waited for, milliseconds. */
  readonly activeMs: number;
  /** For how long writes that do not go on are. */
  readonly stalledMs: number;
  /** The longest pause between two looks, milliseconds. */
  readonly pauseMs: number;
}

/**
 * Waits until nothing of `files` is in the middle of a write; resolves to what still is when patience ends. Looks at the
 * unfinished files alone, less and less often: whoever needs to know that all rest looks at all afterwards.
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
