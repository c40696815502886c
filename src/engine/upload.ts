import { join } from 'node:path';
import pMap from 'p-map';
import { isSyncAgentError } from '../errors.ts';
import { fileBody } from '../remote/body.ts';
import { historyKey } from '../snapshot/layout.ts';
import type { ManifestFile } from '../snapshot/manifest.ts';
import { enterPhase, progressOf } from './context.ts';
import type { Context } from './context.ts';
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
 * A source that vanished or cannot be copied is no loss: staging has every byte.
 */
export async function uploadSnapshot(context: Context, { id, staged, plan }: UploadWork): Promise<Uploaded> {
  enterPhase(context, 'upload');
  const { remote, signal, settings } = context;
  let serverTime: Date | undefined;
  const report = progressOf(context, 'upload', plan.uploadBytes);

  const upload = async (file: CapturedFile): Promise<ManifestFile> => {
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
  const reuse = async ({ file, source }: ReusedFile): Promise<ManifestFile> => {
    if (settings.history === 'linked') return { ...file, in: source.id };
    try {
      await remote.copy(historyKey(source.id, source.path), historyKey(id, file.path), { signal });
      return file;
    } catch (error) {
      if (isSyncAgentError(error, 'INTERRUPTED')) throw error;
      return upload(file);
    }
  };
  const files = await pMap(
    [...plan.upload.map((file) => () => upload(file)), ...plan.reuse.map((each) => () => reuse(each))],
    (work) => work(),
    { concurrency: settings.concurrency, stopOnError: true },
  );
  return { files: files.toSorted((a, b) => (a.path < b.path ? -1 : 1)), serverTime };
}
