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
  /** No object is seen before this resolves. */
  readonly after: Promise<unknown> | undefined;
}

export interface Uploaded {
  readonly written: Written;
  /** Of the bytes of changed files, those that the server had already. */
  readonly copiedBytes: number;
}

/** Writes the objects of snapshot `id`. */
export function uploadContent(
  context: Context,
  id: string,
  { image, plan, after }: UploadWork,
): Promise<Uploaded> {
  const { upload, reuse, earlier, uploadBytes } = plan;
  const report = progressOf(context, 'upload', uploadBytes);
  let copiedBytes = 0;
  return inPhase(context, 'upload', async () => {
    const written = await context.formats.current.write(context, {
      id,
      dir: image.dir,
      isOwn: image.atRest === undefined,
      upload,
      reuse,
      earlier,
      after,
      onBytes: (bytes, isCopied) => {
        if (isCopied === true) copiedBytes += bytes;
        report(bytes, isCopied);
      },
    });
    // A file whose upload began anew was copied from twice.
    return { written, copiedBytes: Math.min(copiedBytes, uploadBytes) };
  });
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
