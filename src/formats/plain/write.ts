import { join } from 'node:path';
import { concurrently } from '../../platform/concurrently.ts';
import { isSyncAgentError } from '../../platform/errors.ts';
import { fileBody, hashing, strangeFileBody } from '../../remotes/body.ts';
import { DurableLater } from '../../remotes/durable-later.ts';
import type { ManifestFile } from '../../log/manifest.ts';
import type { FormatContext, ReusedFile, UploadFile, WriteWork, Written } from '../content-format.ts';
import { historyKey, keyOf } from './keys.ts';

/**
 * Fills `history/<id>/`: changed files from the image, the rest copied by the server from the snapshot that has them, or
 * referred to there with linked history. A file that the server cannot copy is uploaded. If the first copy fails, no other
 * is tried: each failure may have taken many attempts.
 */
export async function write(context: FormatContext, work: WriteWork): Promise<Written> {
  const { remote, settings } = context;
  const { id, after } = work;
  let serverTime: Date | undefined;
  const durableLater = new DurableLater();

  const upload = async (file: UploadFile, signal: AbortSignal): Promise<ManifestFile> => {
    const { path, size, mode, mtimeMs, sha256 } = file;
    const bytes = (work.isOwn ? fileBody : strangeFileBody)(join(work.dir, path), size);
    const body = sha256 === undefined ? hashing(bytes) : { ...bytes, sha256: async () => sha256 };
    const earlier = work.earlier?.get(path);
    const base = earlier?.file.parts && {
      key: keyOf(earlier.snapshot, earlier.file),
      parts: earlier.file.parts,
    };
    const { parts, ...put } = await remote.put(historyKey(id, path), body, {
      ...(sha256 === undefined ? {} : { sha256 }),
      ...(base === undefined ? {} : { base }),
      onBytes: work.onBytes,
      durableLater,
      after,
      signal,
    });
    if (serverTime === undefined || put.serverTime > serverTime) serverTime = put.serverTime;
    // Member by member: of `{ ...file, … }`, V8 keeps a description for each object, which is larger than the object.
    const written: ManifestFile = { path, size, mode, mtimeMs, sha256: await body.sha256() };
    if (parts !== undefined) written.parts = { bytes: parts.bytes, sha256: [...parts.sha256] };
    return written;
  };
  /** Undefined until the server has copied something, or failed to. */
  let copies: boolean | undefined;
  const reuse = async ({ file, source }: ReusedFile, signal: AbortSignal): Promise<ManifestFile> => {
    // `in` names a snapshot and no path: a file that was renamed has its bytes copied.
    if (settings.history === 'linked' && source.file.path === file.path)
      return { ...file, in: source.file.in ?? source.snapshot.id };
    if (copies === false) return upload(file, signal);
    try {
      await remote.copy(keyOf(source.snapshot, source.file), historyKey(id, file.path), {
        signal,
        bytes: file.size,
        durableLater,
        after,
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
  function* transfers(): Generator<(signal: AbortSignal) => Promise<ManifestFile>> {
    for (const file of work.upload) yield (signal) => upload(file, signal);
    for (const each of work.reuse) yield (signal) => reuse(each, signal);
  }
  const files = await concurrently(
    transfers(),
    { concurrency: settings.concurrency, signal: context.signal },
    (transfer, signal) => transfer(signal),
  );
  await durableLater.flush();
  return { files: files.toSorted((a, b) => (a.path < b.path ? -1 : 1)), serverTime };
}
