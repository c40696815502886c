import type { Stats } from 'node:fs';
import { basename, dirname, sep } from 'node:path';
import { watch } from 'chokidar';
import { isForeignName, kindOf } from '../store/foreign.ts';
import { homeInsideStore } from '../store/scan.ts';

export interface EventWatch {
  close(): Promise<void>;
}

export interface EventWatchOptions {
  readonly onEvent: () => void;
  readonly onError: (error: unknown) => void;
}

/** A writer causes thousands of events a second, which say the same. */
const batchMs = 100;

/** The system's file events below a directory, in batches. Resolves once no event can be missed any more. */
export async function watchEvents(
  directory: string,
  { onEvent, onError }: EventWatchOptions,
): Promise<EventWatch> {
  const home = `${directory}${sep}${homeInsideStore}`;
  const watcher = watch(directory, {
    ignoreInitial: true,
    followSymlinks: false,
    // Readers touch SQLite's shared memory; it holds nothing that lasts.
    ignored: (path, stats) =>
      path === home ||
      path.startsWith(home + sep) ||
      path.endsWith('-shm') ||
      (path !== directory && isForeignAt(path, stats)),
  });
  const isForeignAt = (path: string, stats: Stats | undefined): boolean =>
    isForeignName(basename(path), stats && kindOf(stats), dirname(path) === directory);
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
