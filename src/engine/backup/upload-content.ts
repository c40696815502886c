import { isSyncAgentError } from '../../platform/errors.ts';
import { attemptKey, historyDirectory } from '../../log/layout.ts';
import type { Written } from '../../formats/content-format.ts';
import { inPhase, progressOf } from '../context.ts';
import type { Context } from '../context.ts';
import type { StoreImage } from './image/capture-store.ts';
import type { BackupPlan } from './plan-backup.ts';

export interface UploadWork {
  readonly image: StoreImage;
  readonly plan: Extract<BackupPlan, { type: 'commit' }>;
}

/** Writes the objects of snapshot `id`. */
export function uploadContent(context: Context, id: string, { image, plan }: UploadWork): Promise<Written> {
  return inPhase(context, 'upload', () =>
    context.formats.current.write(context, {
      id,
      dir: image.dir,
      isOwn: image.atRest === undefined,
      upload: plan.upload,
      reuse: plan.reuse,
      onBytes: progressOf(context, 'upload', plan.uploadBytes),
    }),
  );
}

const discardMs = 2000;

/**
 * Removes what an attempt has uploaded, as far as two seconds allow. No commit will ever name these objects: the id belongs to
 * this attempt alone. The mark of a first backup goes last. A later rotation deletes what is left.
 */
export async function discardAttempt({ remote }: Pick<Context, 'remote'>, id: string): Promise<void> {
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
