import type { Clock } from '../../platform/clock.ts';
import { statFile } from '../content/scan.ts';
import type { FileEntry } from '../content/scan.ts';

/** The files of writes that SQLite's locks do not cover, as far as times tell; both empty at rest. */
export interface RestlessFiles {
  /** Written just now: the write will end. */
  readonly active: readonly FileEntry[];
  /** A write that began and does not go on. */
  readonly stalled: readonly FileEntry[];
}

export interface RestOptions {
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
 * restless files alone, less and less often: whoever needs to know that all rest looks at all afterwards.
 */
export async function untilResting(
  dir: string,
  files: readonly FileEntry[],
  judge: (files: readonly FileEntry[], nowMs: number) => RestlessFiles,
  options: RestOptions,
): Promise<RestlessFiles> {
  const { clock, signal } = options;
  const begin = clock.monotonic();
  let restless = judge(files, clock.now());
  for (let pauseMs = 5; restless.active.length + restless.stalled.length > 0; pauseMs *= 2) {
    const patienceMs = restless.active.length > 0 ? options.activeMs : options.stalledMs;
    if (clock.monotonic() - begin >= patienceMs) break;
    await clock.sleep(Math.min(pauseMs, options.pauseMs), { signal });
    const again = [...restless.active, ...restless.stalled].map(({ path }) => statFile(dir, path));
    const present = (await Promise.all(again)).filter((file) => file !== undefined);
    restless = judge(present, clock.now());
  }
  return restless;
}
