import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { SyncAgentError, fromFileSystem, isSyncAgentError } from '../../platform/errors.ts';
import type { ManifestFile, RecordedProblem } from '../../log/manifest.ts';
import type { CollectionStatistics } from '../../stores/adapter.ts';
import type { ArchiveNote } from './archive-note.ts';
import { openArchiveFile, withArchive } from './open-archive.ts';
import type { ArchiveFile } from './open-archive.ts';

/** What an archive says without its password. */
export interface ArchiveSummary extends Omit<ArchiveNote, 'archive' | 'agent'> {
  readonly path: string;
  readonly archiveBytes: number;
  readonly isEncrypted: boolean;
}

/** A file that looks like an archive and cannot be read. */
export interface UnreadableArchive {
  readonly path: string;
  readonly error: string;
}

export interface ArchiveListing {
  readonly dir: string;
  /** Oldest first. Other files are not named. */
  readonly archives: readonly ArchiveSummary[];
  readonly unreadable: readonly UnreadableArchive[];
}

/** What is in an archive. */
export interface ArchiveInfo extends ArchiveSummary {
  readonly adapter: string;
  readonly parent: string | null;
  readonly records: number;
  readonly collections: readonly CollectionStatistics[];
  readonly contents: readonly Pick<ManifestFile, 'path' | 'size' | 'sha256'>[];
  readonly findings: readonly RecordedProblem[];
  /** Not empty: the store was damaged when it was saved, and a person insisted. */
  readonly damage: readonly RecordedProblem[];
}

/** Every archive directly in a directory. NOT_FOUND if there is no such directory. */
export async function listArchives(given: string): Promise<ArchiveListing> {
  const dir = resolve(given);
  const names = await readdir(dir).catch((error: unknown) => {
    throw fromFileSystem(error, `Cannot list the archives of "${dir}"`);
  });
  const archives: ArchiveSummary[] = [];
  const unreadable: UnreadableArchive[] = [];
  for (const name of names.filter((each) => each.endsWith('.zip')).toSorted()) {
    const path = join(dir, name);
    try {
      const archive = await openArchiveFile(path);
      await archive.zip.close();
      archives.push(summaryOf(archive));
    } catch (error) {
      if (!isSyncAgentError(error)) throw error;
      // A ZIP file of somebody else, or a directory of that name.
      if (error.code !== 'USAGE' && error.code !== 'INTERNAL')
        unreadable.push({ path, error: error.message });
    }
  }
  const byTime = (a: ArchiveSummary, b: ArchiveSummary): number =>
    Date.parse(a.archivedAt) - Date.parse(b.archivedAt);
  return { dir, archives: archives.toSorted(byTime), unreadable };
}

/** What is in an archive. Its hashes are compared by a restore. */
export async function archiveInfo(file: string, password?: string): Promise<ArchiveInfo> {
  return withArchive(file, password, async ({ manifest, ...archive }) => ({
    ...summaryOf(archive),
    adapter: manifest.adapter,
    parent: manifest.parent,
    records: manifest.statistics.records,
    collections: manifest.statistics.collections ?? [],
    contents: manifest.files.map(({ path, size, sha256 }) => ({ path, size, sha256 })),
    findings: manifest.findings ?? [],
    damage: manifest.damage ?? [],
  }));
}

function summaryOf({ path, note, zip, isEncrypted }: ArchiveFile): ArchiveSummary {
  const { archive: _, agent: __, ...said } = note;
  return { path, ...said, archiveBytes: zip.size, isEncrypted };
}

/** Whether somebody asked for a sensible number. */
export function assertMaxBackups(maxBackups: number | undefined): void {
  if (maxBackups === undefined || (Number.isInteger(maxBackups) && maxBackups >= 1)) return;
  throw new SyncAgentError(
    'USAGE',
    `Cannot keep ${maxBackups} archives: expected a whole number of at least 1`,
  );
}
