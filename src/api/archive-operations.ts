import type { ArchiveOptions, ArchiveResult } from '../engine/archives/archive-store.ts';
import type { ArchiveInfo, ArchiveListing } from '../engine/archives/list-archives.ts';
import type {
  ArchiveRestored,
  ArchiveRestoredTo,
  RestoreArchiveOptions,
} from '../engine/archives/restore-archive.ts';
import type { CallOptions } from './agent.ts';

export interface ArchiveToOptions extends ArchiveOptions {
  /** Archives this snapshot of the remote instead of the store. */
  readonly snapshot?: string | undefined;
}

/** Archives: one compressed file each, to carry away. */
export interface ArchiveOperations {
  /**
   * Writes an archive of the store, while its writers continue, or of a snapshot. `to`: a file that ends in `.zip`, or a directory, in which the
   * file gets a name by the store and the time. The file appears complete or not at all. Makes no request unless `snapshot` is given.
   */
  archiveTo(to: string, options?: ArchiveToOptions & CallOptions): Promise<ArchiveResult>;
  /** The archives that lie in a directory. Needs no password. */
  listArchives(dir: string, options?: CallOptions): Promise<ArchiveListing>;
  /** What is in an archive. */
  archiveInfo(
    file: string,
    options?: { readonly password?: string | undefined } & CallOptions,
  ): Promise<ArchiveInfo>;
  /** Replaces the store by the content of an archive. The present store becomes a rollback copy. BUSY while a process has it open. */
  restoreArchive(file: string, options?: RestoreArchiveOptions & CallOptions): Promise<ArchiveRestored>;
  /** Puts the content of an archive into a new directory. The store is not touched. */
  restoreArchiveTo(
    file: string,
    dir: string,
    options?: { readonly password?: string | undefined } & CallOptions,
  ): Promise<ArchiveRestoredTo>;
}
