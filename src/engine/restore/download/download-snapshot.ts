import { both } from '../../../platform/concurrently.ts';
import type { Manifest, ManifestFile } from '../../../log/manifest.ts';
import { totalBytes } from '../../../log/manifest.ts';
import { stagingRoot } from '../../../home/home.ts';
import { applyLog } from '../../continuous/apply-log.ts';
import type { AppliedLog } from '../../continuous/apply-log.ts';
import type { LogRequest } from '../../continuous/read-log.ts';
import { inPhase, progressOf } from '../../context.ts';
import type { Context } from '../../context.ts';
import { Backlog } from './backlog.ts';
import { assertSound, Inspection } from './inspection.ts';
import { syncSnapshot } from './sync-snapshot.ts';
import { downloadFiles } from './download-files.ts';
import type { ContentReader, Downloaded } from './download-files.ts';
import { setDirectoryMode } from './snapshot-directories.ts';

export interface SnapshotDownload {
  readonly manifest: Manifest;
  readonly data: string;
  readonly attempt: string;
  readonly reuseFrom: string | undefined;
  /** As in `DownloadTarget`. */
  readonly reader?: ContentReader | undefined;
  /** Puts the snapshot's log into it as well. */
  readonly log?: Pick<LogRequest, 'untilMs' | 'upTo'> & { readonly of: Manifest };
}

export interface DownloadedSnapshot extends Downloaded {
  /** What the snapshot's log added. Absent if it has none. */
  readonly log?: AppliedLog;
}

/**
 * Downloads a snapshot into a new directory. When this resolves, it is verified, validated and synced to disk. Each of these
 * begins with the first file for which it can.
 */
export async function downloadSnapshot(
  context: Context,
  request: SnapshotDownload,
): Promise<DownloadedSnapshot> {
  const { manifest, data } = request;
  await context.fs.makeDirectory(`${stagingRoot(context.home)}/${request.attempt}`);
  await context.fs.makeDirectory(data, { mode: 0o755 });
  const complete = new Backlog<ManifestFile>();
  const onBytes = progressOf(context, 'download', totalBytes(manifest.files));
  const [downloaded] = await both(
    context.signal,
    (signal) =>
      downloadSound(
        { ...context, signal },
        { ...request, onBytes, onEnd: () => complete.end(), onFile: (file) => complete.add(file) },
      ),
    (signal) => syncSnapshot({ ...context, signal }, { manifest, dir: data, complete }),
  );
  const { log: wanted } = request;
  const log =
    wanted && (await applyLog(context, wanted.of, data, { untilMs: wanted.untilMs, upTo: wanted.upTo }));
  if (log === undefined) return downloaded;
  if (log.segments > 0) await assertSound(context, manifest, data, { hasChanged: true });
  if (log.endedBy !== undefined) warnOfEnd(context, log);
  return { ...downloaded, log };
}

function warnOfEnd({ emit }: Context, { endedBy = '', until, position }: AppliedLog): void {
  const reached =
    until === undefined
      ? 'nothing that was written after the snapshot is restored'
      : `the store is as of ${until}, operation ${position.number}`;
  emit({
    type: 'warning',
    code: 'SNAPSHOT_CORRUPT',
    message: `${endedBy}: ${reached}. What was written later is missing`,
    remedy: 'Run "sync-agent verify" to see what else is damaged',
  });
}

interface SoundDownload extends SnapshotDownload {
  readonly onBytes: (count: number) => void;
  readonly onFile: (file: ManifestFile) => void;
  /** All files are there, with the modes of directories; or no more will come. */
  readonly onEnd: () => void;
}

/** Downloads and validates. The databases come first, and their tables are checked while the other files are on their way. */
async function downloadSound(
  context: Context,
  { manifest, data, reuseFrom, reader, onBytes, onFile, onEnd }: SoundDownload,
): Promise<Downloaded> {
  const databases = context
    .adapterNamed(manifest.adapter)
    .databasesAmong(manifest.files.map(({ path }) => path));
  const missing = new Set(databases);
  const inspection = new Inspection(context, manifest, data);
  try {
    const downloaded = await inPhase(context, 'download', () =>
      downloadFiles(context, {
        manifest,
        dir: data,
        reuseFrom,
        reader,
        onBytes,
        first: databases,
        onFile: (file) => {
          onFile(file);
          if (missing.delete(file.path) && missing.size === 0) inspection.begin();
        },
      }),
    );
    await setDirectoryMode(context.fs, data, manifest.mode);
    onEnd();
    await inspection.end();
    return downloaded;
  } catch (error) {
    await inspection.abort();
    throw error;
  } finally {
    onEnd();
  }
}
