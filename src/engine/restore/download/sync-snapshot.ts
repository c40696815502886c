import { join } from 'node:path';
import { concurrently } from '../../../platform/concurrently.ts';
import { Unsynced, manyPaths } from '../../../platform/disk/unsynced.ts';
import { throwIfAborted } from '../../../platform/errors.ts';
import type { Manifest, ManifestFile } from '../../../log/manifest.ts';
import type { Context } from '../../context.ts';
import type { Backlog } from './backlog.ts';
import { directoriesOf } from './snapshot-directories.ts';

/** Where files are many, a larger one is worth a flush of its own, while others come. */
const smallBytes = 1024 * 1024;

/**
 * Makes a snapshot survive a power cut: each file as soon as it is complete, many small ones together. When `complete` has ended:
 * the files that are left, then directories from the leaves up.
 */
export async function syncSnapshot(
  context: Context,
  { manifest, dir, complete }: { manifest: Manifest; dir: string; complete: Backlog<ManifestFile> },
): Promise<void> {
  const { fs, phases, settings, signal } = context;
  const { concurrency } = settings;
  const areMany = manifest.files.length >= manyPaths;
  const small = new Unsynced(fs, dir);
  const sync = async ({ path, size }: ManifestFile, either = signal): Promise<void> => {
    throwIfAborted(either, 'Restore');
    const file = join(dir, path);
    await phases.measure('flush', () =>
      areMany && size <= smallBytes ? small.add({ file }) : fs.sync(file),
    );
  };
  // One at a time: a flush waits for the disk in a thread of the pool, which the writes of the download need as well.
  await concurrently(complete, { concurrency: 1, signal }, sync);
  await concurrently(complete.rest(), { concurrency, signal }, sync);
  for (const path of directoriesOf(manifest).toReversed()) await small.add({ directory: join(dir, path) });
  throwIfAborted(signal, 'Restore');
  await phases.measure('flush', () => small.flush());
}
