import { join } from 'node:path';
import { concurrently } from '../../platform/concurrently.ts';
import { isSyncAgentError } from '../../platform/errors.ts';
import { fileBody } from '../../remotes/body.ts';
import { attemptKey, historyDirectory, historyKey } from '../../log/layout.ts';
import type { ManifestFile } from '../../log/manifest.ts';
import { enterPhase, progressOf } from '../context.ts';
import type { Context } from '../context.ts';
import type { BackupPlan, CapturedFile, ReusedFile } from './plan-backup.ts';
import type { StagedStore } from './stage.ts';

export interface UploadWork {
  readonly id: string;
  readonly staged: StagedStore;
  readonly plan: Extract<BackupPlan, { type: 'commit' }>;
}

export interface Uploaded {
  /** In the order of their paths. */
  readonly files: ManifestFile[];
  /** The server's clock at the last upload; undefined when nothing was uploaded. */
  readonly serverTime: Date | undefined;
}

/**
 * Fills `history/<id>/`: changed files from staging, the rest copied by the server from the snapshot that has them.
 * A source that vanished or cannot be copied is no loss: staging has every byte; where the first copy fails, no other is
 * tried. Interrupted, it takes away what it had uploaded, as far as there is time; what stays, a later rotation sweeps.
 */
export async function uploadSnapshot(context: Context, { id, staged, plan }: UploadWork): Promise<Uploaded> {
  enterPhase(context, 'upload');
  const { remote, settings } = context;
  let serverTime: Date | undefined;
  const report = progressOf(context, 'upload', plan.uploadBytes);

  const upload = async (file: CapturedFile, signal: AbortSignal): Promise<ManifestFile> => {
    const put = await remote.put(
      historyKey(id, file.path),
      fileBody(join(staged.dir, file.path), file.size),
      {
        sha256: file.sha256,
        onBytes: report,
        signal,
      },
    );
    if (serverTime === undefined || put.serverTime > serverTime) serverTime = put.serverTime;
    return file;
  };
  /** Undefined until the server copied something, or failed to. Each failure may have taken many attempts. */
  let copies: boolean | undefined;
  const reuse = async ({ file, source }: ReusedFile, signal: AbortSignal): Promise<ManifestFile> => {
    // `in` names a snapshot and no path: a file that was renamed has its bytes copied.
    if (settings.history === 'linked' && source.path === file.path) return { ...file, in: source.id };
    if (copies === false) return upload(file, signal);
    try {
      await remote.copy(historyKey(source.id, source.path), historyKey(id, file.path), {
        signal,
        bytes: file.size,
      });
      copies = true;
      return file;
    } catch (error) {
      if (isSyncAgentError(error, 'INTERRUPTED')) throw error;
      // A source that vanished says nothing of the others.
      if (!isSyncAgentError(error, 'NOT_FOUND')) copies ??= false;
      return upload(file, signal);
    }
  };
  const files = await concurrently(
    [
      ...plan.upload.map((file) => (signal: AbortSignal) => upload(file, signal)),
      ...plan.reuse.map((each) => (signal: AbortSignal) => reuse(each, signal)),
    ],
    { concurrency: settings.concurrency, signal: context.signal },
    (work, signal) => work(signal),
  ).catch(async (error: unknown) => {
    if (isSyncAgentError(error, 'INTERRUPTED')) await discard(context, id);
    throw error;
  });
  return { files: files.toSorted((a, b) => (a.path < b.path ? -1 : 1)), serverTime };
}

const discardMs = 2000;

/** No commit names these objects, and none ever will: the id is this attempt's own. Of a first backup, what it said of itself goes last. */
async function discard({ remote }: Context, id: string): Promise<void> {
  const signal = AbortSignal.timeout(discardMs);
  try {
    for await (const page of remote.list(historyDirectory(id), { signal })) {
      await remote.remove(
        page.objects.map(({ key }) => key),
        { signal },
      );
    }
    await remote.remove([attemptKey(id)], { signal });
  } catch (error) {
    if (!isSyncAgentError(error)) throw error;
  }
}
