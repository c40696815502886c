import type { ArchiveOperations } from '../api/archive-operations.ts';
import { throwIfAborted } from '../platform/errors.ts';
import type { LoggedAccess } from './logged-access.ts';
import type { StoreAccess } from './store-access.ts';

/** Archives are rare, so what makes them is loaded when it is needed. */
export function archiveOperations(access: StoreAccess, log: LoggedAccess): ArchiveOperations {
  return {
    archiveTo: async (to, { snapshot, signal, ...options } = {}) => {
      const { archiveTo } = await import('../engine/archives/archive-store.ts');
      const name =
        snapshot === undefined ? ({ type: 'store' } as const) : ({ type: 'snapshot', snapshot } as const);
      return access.read((context) => archiveTo(context, name, to, options), signal);
    },
    listArchives: async (dir, { signal } = {}) => {
      throwIfAborted(signal, 'Listing the archives');
      const { listArchives } = await import('../engine/archives/list-archives.ts');
      return listArchives(dir);
    },
    archiveInfo: async (file, { password, signal } = {}) => {
      throwIfAborted(signal, 'Reading the archive');
      const { archiveInfo } = await import('../engine/archives/list-archives.ts');
      return archiveInfo(file, password);
    },
    restoreArchive: async (file, { signal, ...options } = {}) => {
      const { restoreArchive } = await import('../engine/archives/restore-archive.ts');
      return log.writeWhole('restore-archive', { signal }, (context) =>
        restoreArchive(context, file, options),
      );
    },
    restoreArchiveTo: async (file, dir, { password, signal } = {}) => {
      const { restoreArchiveTo } = await import('../engine/archives/restore-archive.ts');
      return access.writeElsewhere(dir, (context) => restoreArchiveTo(context, file, password), signal);
    },
  };
}
