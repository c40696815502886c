import { isSyncAgentError } from '../../platform/errors.ts';
import { attemptKey, historyDirectory } from '../../log/layout.ts';
import type { Written } from '../../formats/content-format.ts';
import { enterPhase, progressOf } from '../context.ts';
import type { Context } from '../context.ts';
import type { StoreImage } from './capture-store.ts';
import type { BackupPlan } from './plan-backup.ts';

export interface UploadWork {
  readonly image: StoreImage;
  readonly plan: Extract<BackupPlan, { type: 'commit' }>;
}

/** Writes the objects of snapshot `id`. Interrupted, it removes what it has uploaded, as far as there is time. A later rotation sweeps what stays. */
export async function uploadContent(
  context: Context,
  id: string,
  { image, plan }: UploadWork,
): Promise<Written> {
  enterPhase(context, 'upload');
  try {
    return await context.formats.current.write(context, {
      id,
      dir: image.dir,
      upload: plan.upload,
      reuse: plan.reuse,
      onBytes: progressOf(context, 'upload', plan.uploadBytes),
    });
  } catch (error) {
    if (isSyncAgentError(error, 'INTERRUPTED')) await discard(context, id);
    throw error;
  }
}

const discardMs = 2000;

/** No commit names these objects, and none ever will: the id is this attempt's own. The mark of a first backup goes last. */
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
