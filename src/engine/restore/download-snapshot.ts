import { join } from 'node:path';
import { both, concurrently } from '../../platform/concurrently.ts';
import { SyncAgentError, throwIfAborted } from '../../platform/errors.ts';
import type { Manifest } from '../../log/manifest.ts';
import { totalBytes } from '../../log/manifest.ts';
import { stagingRoot } from '../../home/home.ts';
import { enterPhase, progressOf } from '../context.ts';
import type { Context } from '../context.ts';
import { downloadFiles } from './download-files.ts';
import type { Downloaded } from './download-files.ts';
import { directoriesOf, setDirectoryMode } from './snapshot-directories.ts';
import { messagesOf, soundnessOf } from '../soundness/soundness.ts';

export interface SnapshotDownload {
  readonly manifest: Manifest;
  readonly data: string;
  readonly attempt: string;
  readonly reuseFrom: string | undefined;
}

/** Downloads a snapshot into a new directory. When this resolves, it is verified, validated and synced to disk. */
export async function downloadSnapshot(context: Context, request: SnapshotDownload): Promise<Downloaded> {
  enterPhase(context, 'download');
  await context.fs.makeDirectory(`${stagingRoot(context.home)}/${request.attempt}`);
  await context.fs.makeDirectory(request.data, { mode: 0o755 });
  const downloaded = await downloadFiles(context, {
    manifest: request.manifest,
    dir: request.data,
    reuseFrom: request.reuseFrom,
    onBytes: progressOf(context, 'download', totalBytes(request.manifest.files)),
  });
  await setDirectoryMode(context.fs, request.data, request.manifest.mode);
  // One keeps the disk busy, the other the processor.
  await both(
    context.signal,
    (signal) => syncSnapshot({ ...context, signal }, request.manifest, request.data),
    (signal) => assertSound({ ...context, signal }, request.manifest, request.data),
  );
  return downloaded;
}

/** Makes a downloaded snapshot survive a power cut: files first, then directories from the leaves up. */
async function syncSnapshot(context: Context, manifest: Manifest, dir: string): Promise<void> {
  const { fs, settings, signal } = context;
  const sync = async (path: string, either = signal): Promise<void> => {
    throwIfAborted(either, 'Restore');
    await fs.sync(join(dir, path));
  };
  await concurrently(manifest.files, { concurrency: settings.concurrency, signal }, (file, either) =>
    sync(file.path, either),
  );
  for (const directory of directoriesOf(manifest).toReversed()) await sync(directory);
}

function tellRecorded({ emit }: Context, { id, damage = [], findings = [] }: Manifest): void {
  if (damage.length > 0) {
    emit({
      type: 'warning',
      code: 'STORE_CORRUPT',
      message: `The store was damaged when snapshot ${id} was made: ${messagesOf(damage)}`,
      remedy: 'Its server may lose records, refuse or crash',
    });
  }
  for (const { message, remedy } of findings)
    emit({ type: 'warning', code: 'NOTICE', message, ...(remedy === undefined ? {} : { remedy }) });
}

/**
 * Rejects with SNAPSHOT_CORRUPT if the verified files are not a sound store. Damage that the manifest records was accepted
 * when the snapshot was made.
 */
export async function assertSound(context: Context, manifest: Manifest, dir: string): Promise<void> {
  enterPhase(context, 'validate');
  const { settings, signal } = context;
  const level = settings.validation === 'full' ? 'full' : 'proven';
  tellRecorded(context, manifest);
  if (manifest.damage !== undefined) return;
  const report = await context.adapterNamed(manifest.adapter).inspect(dir, { level, signal });
  const { damage } = soundnessOf(report, manifest);
  if (damage.length > 0) {
    throw new SyncAgentError(
      'SNAPSHOT_CORRUPT',
      `Cannot restore snapshot ${manifest.id}: ${messagesOf(damage)}`,
    );
  }
}
