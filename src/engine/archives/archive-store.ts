import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { totalBytes } from '../../log/manifest.ts';
import type { Manifest, ManifestFile } from '../../log/manifest.ts';
import { manifestBody } from '../../log/manifest-text.ts';
import { isDiskFull } from '../../platform/disk-space.ts';
import {
  SyncAgentError,
  errnoOf,
  fromFileSystem,
  isSyncAgentError,
  messageOf,
  throwIfAborted,
} from '../../platform/errors.ts';
import { createZip } from '../../platform/zip/zip-writer.ts';
import type { ZipFileWriter } from '../../platform/zip/zip-writer.ts';
import { readFileRange } from '../../remotes/body.ts';
import { inPhase, progressOf } from '../context.ts';
import type { Context } from '../context.ts';
import type { SourceName } from '../reading/store-source.ts';
import { withArchiveContent } from './archive-content.ts';
import type { ArchiveContent } from './archive-content.ts';
import { entryName, manifestName } from './archive-layout.ts';
import { encodeNote, noteOf } from './archive-note.ts';
import { assertMaxBackups } from './list-archives.ts';
import { assertPassword } from './password.ts';
import { chooseTarget, prepareDirectory } from './archive-target.ts';
import type { ArchiveTarget } from './archive-target.ts';
import { pruneArchives } from './prune-archives.ts';

export interface ArchiveOptions {
  /** Encrypts the files (AES-256). Their names and sizes stay readable. */
  readonly password?: string | undefined;
  /** Replaces a file that is there. */
  readonly force?: boolean | undefined;
  /** After this one, keeps so many of the newest archives of this store in the directory, and deletes the others. Default: all. */
  readonly maxBackups?: number | undefined;
}

export interface ArchiveResult {
  readonly type: 'archived';
  readonly path: string;
  /** Of the snapshot that is in it, or that the store would have become. */
  readonly id: string;
  readonly source: 'store' | 'snapshot';
  readonly files: number;
  /** Of the files. */
  readonly bytes: number;
  /** Of the archive. */
  readonly archiveBytes: number;
  readonly records: number;
  readonly isEncrypted: boolean;
  /** Older archives that were deleted, by path. */
  readonly deleted: readonly string[];
}

/**
 * Writes one file that holds the store, or a snapshot, with its manifest. Reads the store as a backup does, without its lock.
 *
 *     1 image or snapshot in scratch      crash: garbage that the next reader sweeps
 *     2 .sync-agent-archive-… written     crash, full disk: a part under another name, which the next archive sweeps
 *     3 flushed
 *     4 renamed                           the archive is there
 *     5 older ones deleted                crash before: the next one deletes them
 */
export async function archiveTo(
  context: Context,
  name: SourceName,
  to: string,
  { password, force = false, maxBackups }: ArchiveOptions = {},
): Promise<ArchiveResult> {
  const { fs } = context;
  assertPassword(password);
  assertMaxBackups(maxBackups);
  const target = await chooseTarget(context, to, { force });
  try {
    await prepareDirectory(context, target);
    const written = await withArchiveContent(context, name, (content) =>
      writeArchive(context, { target, content, name, password }),
    );
    await fs.rename(target.partial, target.path);
    await fs.sync(target.dir);
    const { manifest, archiveBytes } = written;
    const deleted = await pruneArchives(context, target, maxBackups);
    return {
      type: 'archived',
      path: target.path,
      id: manifest.id,
      source: name.type,
      files: manifest.files.length,
      bytes: totalBytes(manifest.files),
      archiveBytes,
      records: manifest.statistics.records,
      isEncrypted: password !== undefined,
      deleted,
    };
  } catch (error) {
    await fs.remove(target.partial).catch(() => undefined);
    if (isDiskFull(error)) throw await diskFull(context, target, error);
    throw errnoOf(error) === undefined ? error : fromFileSystem(error, `Cannot archive to "${target.path}"`);
  }
}

interface WriteWork {
  readonly target: ArchiveTarget;
  readonly content: ArchiveContent;
  readonly name: SourceName;
  readonly password: string | undefined;
}

async function writeArchive(
  context: Context,
  { target, content, name, password }: WriteWork,
): Promise<{ readonly manifest: Manifest; readonly archiveBytes: number }> {
  const { fs, clock, home, settings, signal } = context;
  const zip = await createZip(fs, target.partial, { password, signal });
  try {
    return await inPhase(context, 'archive', async () => {
      const manifest = await addContent(context, zip, content);
      const body = manifestBody(manifest);
      await zip.addFile(manifestName, body.open(), { size: body.size, mode: 0o600, mtimeMs: clock.now() });
      const note = noteOf(manifest, {
        source: name.type,
        host: settings.host,
        store: home.store,
        agent: settings.agent,
        archivedAt: new Date(clock.now()).toISOString(),
      });
      return { manifest, archiveBytes: await zip.finish(encodeNote(note)) };
    });
  } finally {
    await zip.abandon();
  }
}

/** A file is hashed while it is compressed. */
async function addContent(
  context: Context,
  zip: ZipFileWriter,
  { dir, draft, files }: ArchiveContent,
): Promise<Manifest> {
  const onBytes = progressOf(context, 'archive', totalBytes(files));
  const modes = new Map(draft.directories?.map(({ path, mode }) => [path, mode]));
  for (const path of draft.emptyDirectories)
    await zip.addDirectory(entryName(path), modes.get(path) ?? 0o755);
  const hashed: ManifestFile[] = [];
  for (const file of files) {
    throwIfAborted(context.signal, 'Archiving');
    const hash = createHash('sha256');
    const bytes = async function* (): AsyncGenerator<Uint8Array> {
      for await (const chunk of readFileRange(join(dir, file.path), { start: 0, end: file.size })) {
        hash.update(chunk);
        onBytes(chunk.byteLength);
        yield chunk;
      }
    };
    await zip.addFile(entryName(file.path), bytes(), file);
    hashed.push({ ...file, sha256: hash.digest('hex') });
  }
  return { ...draft, files: hashed };
}

async function diskFull(
  { home, diskSpace }: Context,
  { dir }: ArchiveTarget,
  cause: unknown,
): Promise<SyncAgentError> {
  // The image did not fit: that names its own place.
  if (isSyncAgentError(cause)) return cause;
  const { freeBytes } = await diskSpace(dir);
  return new SyncAgentError(
    'DISK_FULL',
    `Cannot archive "${home.store}" to "${dir}": ${messageOf(cause)}; ${freeBytes} bytes are free there, and no part of the archive is left`,
    { remedy: 'Free some space there, or name another disk', cause },
  );
}
