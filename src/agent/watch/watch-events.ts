import { lstatSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { basename, dirname, sep } from 'node:path';
import { watch } from 'chokidar';
import { isExcluded, noExclusions } from '../../stores/content/exclusions.ts';
import type { Exclusions } from '../../stores/content/exclusions.ts';
import { isForeignName, kindOf } from '../../stores/content/foreign.ts';
import { homeInsideStore } from '../../stores/content/scan.ts';

export interface EventWatch {
  close(): Promise<void>;
}

export interface EventWatchOptions {
  readonly exclude?: Exclusions | undefined;
  readonly onEvent: () => void;
  readonly onError: (error: unknown) => void;
}

/** A writer causes thousands of events a second that say the same. */
const batchMs = 100;

/** Watches the system's file events below a directory, in batches. Resolves when no event can be missed any more. */
export async function watchEvents(
  directory: string,
  { onEvent, onError, exclude = noExclusions }: EventWatchOptions,
): Promise<EventWatch> {
  const home = `${directory}${sep}${homeInsideStore}`;
  /** chokidar asks twice, first without `stats`. Then they are read here, so that an unreadable directory is never opened. */
  const isLeftAlone = (path: string, stats: Stats | undefined): boolean => {
    const below = path.slice(directory.length + 1);
    const isIt = (found: Stats | undefined): boolean =>
      isForeignName(basename(path), found && kindOf(found), dirname(path) === directory) ||
      (found?.isDirectory() !== false && isExcluded(exclude, below, true)) ||
      (found?.isDirectory() !== true && isExcluded(exclude, below, false));
    return isIt(stats) && (stats !== undefined || isIt(lstatSync(path, { throwIfNoEntry: false })));
  };
  const watcher = watch(directory, {
    ignoreInitial: true,
    followSymlinks: false,
    // Readers touch SQLite's shared memory, which holds nothing that lasts.
    ignored: (path, stats) =>
      path === home ||
      path.startsWith(home + sep) ||
      path.endsWith('-shm') ||
      (path !== directory && isLeftAlone(path, stats)),
  });
  let batch: NodeJS.Timeout | undefined;
  let isClosed = false;
  watcher.on('all', () => {
    if (isClosed) return;
    batch ??= setTimeout(() => {
      batch = undefined;
      onEvent();
    }, batchMs);
  });
  watcher.on('error', onError);
  await new Promise<void>((resolve) => watcher.once('ready', resolve));
  return {
    close: () => {
      isClosed = true;
      clearTimeout(batch);
      return watcher.close();
    },
  };
}
