import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import { SyncAgentError, errnoOf, fromFileSystem } from '../../platform/errors.ts';
import type { FileSystem } from '../../platform/file-system.ts';
import { BadZip, openZip } from '../../platform/zip/zip-reader.ts';
import type { ZipEntry, ZipFile } from '../../platform/zip/zip-reader.ts';
import { decodeManifest } from '../../log/manifest-text.ts';
import type { Manifest, ManifestFile } from '../../log/manifest.ts';
import type { ContentReader } from '../restore/download/download-files.ts';
import { entryName, manifestFormat, manifestName } from './archive-layout.ts';
import { decodeNote } from './archive-note.ts';
import type { ArchiveNote } from './archive-note.ts';

/** A file whose comment says that it is an archive of ours. Nothing of it is trusted yet. */
export interface ArchiveFile {
  readonly path: string;
  readonly note: ArchiveNote;
  readonly zip: ZipFile;
  readonly isEncrypted: boolean;
}

/** An archive whose entries are those that its manifest names, with the sizes that it names. */
export interface OpenArchive extends ArchiveFile {
  readonly manifest: Manifest;
  /** Reads files, and compares each with its hash. */
  readonly reader: ContentReader;
}

/** A manifest of 100,000 files has 20 MB, and is read into memory. */
const maxManifestBytes = 64 * 1024 * 1024;

/** NOT_FOUND without the file, USAGE if it is no archive of ours, TOO_NEW, SNAPSHOT_CORRUPT if it is damaged. The caller closes `zip`. */
export async function openArchiveFile(file: string): Promise<ArchiveFile> {
  const path = resolve(file);
  const zip = await openZip(path).catch((error: unknown) => {
    if (error instanceof BadZip) throw corrupt(path, error.message, error);
    const missing = errnoOf(error) === 'ENOENT';
    throw fromFileSystem(
      error,
      missing ? `Cannot find the archive "${path}"` : `Cannot read the archive "${path}"`,
    );
  });
  try {
    const note = decodeNote(zip.comment);
    if (note === 'newer') {
      throw new SyncAgentError(
        'TOO_NEW',
        `Cannot read the archive "${path}": it was written by a newer version`,
        {
          remedy: 'Install the newest sync-agent on this host',
        },
      );
    }
    if (note === undefined) {
      throw new SyncAgentError('USAGE', `Cannot use "${path}": it is not an archive of sync-agent`, {
        remedy: 'Name a file that "sync-agent archive" wrote',
      });
    }
    return { path, note, zip, isEncrypted: zip.entries.some((entry) => entry.isEncrypted) };
  } catch (error) {
    await zip.close();
    throw error;
  }
}

/**
 * Lets `work` read an archive. An archive may come from anywhere: an entry that the manifest does not name, two of one name, a link, a path that
 * leaves the store and a size that lies are SNAPSHOT_CORRUPT, before anything is written. DENIED without the right password.
 */
export async function withArchive<T>(
  file: string,
  password: string | undefined,
  work: (archive: OpenArchive) => Promise<T>,
): Promise<T> {
  const archive = await openArchiveFile(file);
  try {
    const entries = entriesByName(archive);
    const manifest = await readManifest(archive, entries, password);
    assertEntries(archive, entries, manifest);
    const reader = readerOf(archive, entries, password);
    return await work({ ...archive, manifest, reader });
  } finally {
    await archive.zip.close();
  }
}

type Entries = ReadonlyMap<string, ZipEntry>;

function entriesByName({ path, zip }: ArchiveFile): Entries {
  const entries = new Map<string, ZipEntry>();
  for (const entry of zip.entries) {
    if (entries.has(entry.name)) throw corrupt(path, `entry ${quoted(entry.name)} is in it twice`);
    if (entry.isOdd) throw corrupt(path, `entry ${quoted(entry.name)} is a link or a device`);
    entries.set(entry.name, entry);
  }
  return entries;
}

async function readManifest(
  archive: ArchiveFile,
  entries: Entries,
  password: string | undefined,
): Promise<Manifest> {
  const { path, note } = archive;
  const entry = entries.get(manifestName);
  if (entry === undefined) throw corrupt(path, `it has no ${manifestName}`);
  const chunks: Uint8Array[] = [];
  let size = 0;
  await readEntry(archive, entry, password, async (chunk) => {
    size += chunk.byteLength;
    if (size > maxManifestBytes)
      throw corrupt(path, `its ${manifestName} is larger than ${maxManifestBytes} bytes`);
    chunks.push(chunk);
  });
  const manifest = decodeManifest(Buffer.concat(chunks).toString('utf8'), `${path}/${manifestName}`, [
    manifestFormat,
  ]);
  if (manifest.id !== note.id)
    throw corrupt(path, `its comment names ${note.id}, and its manifest ${manifest.id}`);
  return manifest;
}

/** Each file is an entry of its size, and no entry is anything else. Paths of a manifest were judged when it was read. */
function assertEntries({ path }: ArchiveFile, entries: Entries, { files, emptyDirectories }: Manifest): void {
  const expected = new Set([manifestName, ...emptyDirectories.map((each) => `${entryName(each)}/`)]);
  for (const file of files) {
    const name = entryName(file.path);
    const entry = entries.get(name);
    if (entry === undefined) throw corrupt(path, `${quoted(name)} is missing`);
    if (entry.isDirectory || entry.size !== file.size)
      throw corrupt(path, `${quoted(name)} has ${entry.size} bytes, expected ${file.size}`);
    if (file.in !== undefined) throw corrupt(path, `${quoted(name)} is said to be elsewhere`);
    expected.add(name);
  }
  for (const { name } of entries.values())
    if (!expected.has(name)) throw corrupt(path, `its manifest does not name the entry ${quoted(name)}`);
}

function readerOf(archive: ArchiveFile, entries: Entries, password: string | undefined): ContentReader {
  return {
    readFile: async ({ fs, signal }, { file, to, onBytes }) => {
      const entry = entries.get(entryName(file.path));
      if (entry === undefined) throw corrupt(archive.path, `${quoted(file.path)} is missing`);
      const hash = createHash('sha256');
      let position = 0;
      const target = to === undefined ? undefined : await openNew(fs, to);
      try {
        // It hands out no more than the size of the entry, which is that of the manifest.
        await readEntry(
          archive,
          entry,
          password,
          async (chunk) => {
            hash.update(chunk);
            await target?.write(chunk, position);
            position += chunk.byteLength;
            onBytes(chunk.byteLength);
          },
          signal,
        );
      } finally {
        await target?.close();
      }
      if (position !== file.size) throw wrongSize(archive.path, file);
      const found = hash.digest('hex');
      if (found !== file.sha256)
        throw corrupt(
          archive.path,
          `${quoted(file.path)} is damaged, expected sha256 ${file.sha256}, found ${found}`,
        );
    },
  };
}

const openNew = async (fs: FileSystem, to: string) => {
  await fs.remove(to);
  return fs.openForWrite(to, { exclusive: true });
};

async function readEntry(
  { path }: ArchiveFile,
  entry: ZipEntry,
  password: string | undefined,
  take: (chunk: Uint8Array) => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  if (entry.isEncrypted && password === undefined) {
    throw new SyncAgentError('DENIED', `Cannot read the archive "${path}": it is encrypted`, {
      remedy: 'Give its password: --password-file, or SYNC_AGENT_ARCHIVE_PASSWORD',
    });
  }
  try {
    await entry.read(take, { password, signal });
  } catch (error) {
    if (!(error instanceof BadZip)) throw error;
    if (error.reason === 'password') {
      throw new SyncAgentError('DENIED', `Cannot read the archive "${path}": the password is wrong`, {
        remedy: 'Give the password with which it was made',
        cause: error,
      });
    }
    throw corrupt(path, `${quoted(entry.name)} is damaged: ${error.message}`, error);
  }
}

const quoted = (name: string): string => JSON.stringify(name.slice(0, 200));

function wrongSize(path: string, file: ManifestFile): SyncAgentError {
  return corrupt(path, `${quoted(file.path)} has not the ${file.size} bytes that its manifest says`);
}

function corrupt(path: string, why: string, cause?: unknown): SyncAgentError {
  return new SyncAgentError('SNAPSHOT_CORRUPT', `Cannot read the archive "${path}": ${why}`, { cause });
}
