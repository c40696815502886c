import { join } from 'node:path';
import { concurrently } from '../../../platform/concurrently.ts';
import { throwIfAborted } from '../../../platform/errors.ts';
import type { Manifest } from '../../../log/manifest.ts';
import type { Context } from '../../context.ts';
import type { Backlog } from './backlog.ts';
import { directoriesOf } from './snapshot-directories.ts';

/**
 * Makes a snapshot survive a power cut, each file as soon as it is complete. When `complete` has ended: the files that are
 * left, then directories from the leaves up.
 */
export async function syncSnapshot(
  context: Context,
  { manifest, dir, complete }: { manifest: Manifest; dir: string; complete: Backlog<string> },
): Promise<void> {
  const { fs, phases, settings, signal } = context;
  const sync = async (path: string, either = signal): Promise<void> => {
    throwIfAborted(either, 'Restore');
    await phases.measure('flush', () => fs.sync(join(dir, path)));
  };
  const { concurrency } = settings;
  // One at a time: a flush waits for the disk in a thread of the pool, which the writes of the download need as well.
  await concurrently(complete, { concurrency: 1, signal }, sync);
  await concurrently(complete.rest(), { concurrency, signal }, sync);
  for (const directory of directoriesOf(manifest).toReversed()) await sync(directory);
}
