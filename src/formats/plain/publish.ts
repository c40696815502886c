import { both, concurrently } from '../../platform/concurrently.ts';
import { isSyncAgentError } from '../../platform/errors.ts';
import { DurableLater } from '../../remotes/durable-later.ts';
import type { Remote } from '../../remotes/remote.ts';
import { manifestKey } from '../../log/layout.ts';
import { manifestBody } from '../../log/manifest-text.ts';
import type { Manifest, ManifestFile } from '../../log/manifest.ts';
import { readManifest } from '../../log/read-manifest.ts';
import type { FormatContext, PublishWork } from '../content-format.ts';
import { currentKey, keyOf, plainNumber } from './keys.ts';

/**
 * Brings the current files and `manifest.json` up to a commit. Nobody relies on them, so a crash in the middle, or two hosts
 * at once, leave a mixture that the next backup mends. `manifest.json` is written last. A current file is left as it is
 * only if `manifest.json` names the snapshot that was the newest before the commit.
 */
export async function publishCurrentFiles(
  context: FormatContext,
  { manifest, before, isNewest }: PublishWork,
): Promise<void> {
  const { remote, settings, signal } = context;
  const durableLater = new DurableLater();
  const copy = async (stale: readonly ManifestFile[], asked: AbortSignal | undefined): Promise<void> => {
    // The largest takes longest, so nothing comes before it.
    const files = stale.toSorted((a, b) => b.size - a.size);
    await concurrently(files, { concurrency: settings.concurrency, signal: asked }, (file, whileAll) =>
      remote.copy(keyOf(manifest, file), currentKey(file.path), {
        signal: whileAll,
        bytes: file.size,
        durableLater,
      }),
    );
  };
  let published: Manifest | undefined;
  if (before === undefined) {
    // Whatever is there is not trusted, so nothing waits for what it says.
    [published] = await both(
      signal,
      (either) => readPublished(remote, either),
      (either) => copy(manifest.files, either),
    );
  } else {
    published = await readPublished(remote, signal);
    const isTrusted = published?.id === before;
    const present = new Map(isTrusted ? published?.files.map((file) => [file.path, file.sha256]) : []);
    await copy(
      manifest.files.filter((file) => present.get(file.path) !== file.sha256),
      signal,
    );
  }
  const kept = new Set(manifest.files.map((file) => file.path));
  const gone = (published?.files ?? []).map((file) => file.path).filter((path) => !kept.has(path));
  await durableLater.flush();
  if (!(await isNewest)) return;
  await remote.remove(gone.map(currentKey), { signal });
  await remote.put(manifestKey, manifestBody(manifest), {
    contentType: 'application/json',
    signal,
  });
}

/** Some servers deny what does not exist; whether writing is denied, too, shows soon enough. */
const unpublished = new Set(['NOT_FOUND', 'SNAPSHOT_CORRUPT', 'DENIED']);

async function readPublished(remote: Remote, signal: AbortSignal | undefined): Promise<Manifest | undefined> {
  try {
    // No other format writes it.
    return await readManifest({ remote, formats: { numbers: [plainNumber] } }, manifestKey, { signal });
  } catch (error) {
    if (isSyncAgentError(error) && unpublished.has(error.code)) return undefined;
    throw error;
  }
}
