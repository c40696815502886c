import { concurrently } from '../../platform/concurrently.ts';
import { isSyncAgentError } from '../../platform/errors.ts';
import { textBody } from '../../remotes/body.ts';
import type { LogView } from '../../log/commit-log.ts';
import { currentKey, historyKey, manifestKey } from '../../log/layout.ts';
import { encodeManifest } from '../../log/manifest.ts';
import type { Manifest } from '../../log/manifest.ts';
import { readManifest } from '../../log/read-manifest.ts';
import { enterPhase } from '../context.ts';
import type { Context } from '../context.ts';

/**
 * Brings the current files and `manifest.json` up to a commit: for people and plain S3 tools. Nobody relies on them,
 * so a crash in the middle, or two hosts at once, leave a mixture that the next backup mends: `manifest.json` is
 * written last, and files are left alone only where it names what was the newest snapshot before the commit.
 */
export async function publishCurrent(
  context: Context,
  work: { readonly manifest: Manifest; readonly before: LogView; readonly after: LogView },
): Promise<void> {
  const { manifest } = work;
  // Another host was faster, or has the lease: the current files are its snapshot's.
  if (newestId(work.after) !== manifest.id) return;
  enterPhase(context, 'publish');
  const { remote, settings, signal } = context;
  const published = await readPublished(context);
  const isTrusted = published !== undefined && published.id === newestId(work.before);
  const present = new Map(isTrusted ? published.files.map((file) => [file.path, file.sha256]) : []);

  const stale = manifest.files.filter((file) => present.get(file.path) !== file.sha256);
  await concurrently(stale, { concurrency: settings.concurrency, signal }, (file, whileAll) =>
    remote.copy(historyKey(file.in ?? manifest.id, file.path), currentKey(file.path), {
      signal: whileAll,
      bytes: file.size,
    }),
  );
  const kept = new Set(manifest.files.map((file) => file.path));
  const gone = (published?.files ?? []).map((file) => file.path).filter((path) => !kept.has(path));
  await remote.remove(gone.map(currentKey), { signal });
  await remote.put(manifestKey, textBody(encodeManifest(manifest)), {
    contentType: 'application/json',
    signal,
  });
}

const newestId = (view: LogView): string | undefined => view.snapshots.at(-1)?.entry.id;

/** Some servers deny what does not exist; whether writing is denied, too, shows soon enough. */
const unpublished = new Set(['NOT_FOUND', 'SNAPSHOT_CORRUPT', 'DENIED']);

async function readPublished(context: Context): Promise<Manifest | undefined> {
  try {
    return await readManifest(context.remote, manifestKey, { signal: context.signal });
  } catch (error) {
    if (isSyncAgentError(error) && unpublished.has(error.code)) return undefined;
    throw error;
  }
}
