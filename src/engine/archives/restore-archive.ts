import { totalBytes } from '../../log/manifest.ts';
import type { Manifest } from '../../log/manifest.ts';
import type { PhaseTime } from '../../platform/events.ts';
import { isDiskFull } from '../../platform/disk-space.ts';
import { stagingRoot, storeExists } from '../../home/home.ts';
import { readJournal } from '../../home/journal.ts';
import type { Context } from '../context.ts';
import { diskFull, spareBytes } from '../restore/disk-shortage.ts';
import { assertUnused, placeBeside, restorableContent } from '../restore/place-beside.ts';
import { placeAside } from '../restore/restore-to.ts';
import { snapshotContent } from '../snapshot-content.ts';
import { lineageOfArchive } from './lineage-of-archive.ts';
import type { ArchiveLineage } from './lineage-of-archive.ts';
import { withArchive } from './open-archive.ts';

export interface RestoreArchiveOptions {
  readonly password?: string | undefined;
  /** Restore although a process has the store open. */
  readonly force?: boolean | undefined;
}

interface FromArchive {
  /** Of the archive. */
  readonly path: string;
  /** As in the archive's manifest. */
  readonly snapshot: string;
  readonly files: number;
  readonly bytes: number;
  readonly records: number;
}

export interface ArchiveRestored extends FromArchive {
  readonly type: 'restored';
  /** The snapshot that the next backup builds on; null if the remote has none, or could not be asked. */
  readonly parent: string | null;
  readonly lineage: ArchiveLineage['type'];
  /** Name of the copy of the store that was replaced; undefined if there was none. */
  readonly rollbackCopy: string | undefined;
  readonly phases: readonly PhaseTime[];
}

export interface ArchiveRestoredTo extends FromArchive {
  readonly type: 'restored-to';
  readonly dir: string;
}

/**
 * Replaces the store by the content of an archive. Every hash and the database are checked before the swap, and the present store becomes a
 * rollback copy. The caller holds the store's lock, and has finished an interrupted restore.
 *
 *     1 the archive in staging, checked, on disk     crash: the old store, and garbage that the next run sweeps
 *     2 swap                                         crash: see `SwapRequest`
 *
 * SNAPSHOT_CORRUPT if the archive is damaged; BUSY if a process has the store open.
 */
export async function restoreArchive(
  context: Context,
  file: string,
  { password, force = false }: RestoreArchiveOptions = {},
): Promise<ArchiveRestored> {
  const { home, fs, emit, phases, settings } = context;
  return withArchive(file, password, async ({ path, manifest: archived, reader }) => {
    await assertUnused(context, force);
    const exists = await storeExists(home);
    const manifest = await restorableContent(context, archived, exists);
    const { freeBytes } = await context.diskSpace(home.store);
    if (freeBytes < totalBytes(manifest.files) + spareBytes)
      throw diskFull(manifest, { freeBytes, spareBytes, where: `at "${home.store}"` });
    const { type: lineage, ...record } = await lineageOfArchive(context, archived);
    try {
      const { rollbackCopy } = await placeBeside(context, {
        manifest,
        reader,
        replaces: exists,
        reuseFrom: undefined,
        force,
        keepRollback: true,
        // It may be the only copy of the last writes.
        rollbackCopies: Math.max(1, settings.rollbackCopies),
        ...record,
      });
      emit({ type: 'restored', id: manifest.id, store: home.store });
      emit({ type: 'phases', phases: phases.list() });
      return {
        type: 'restored',
        ...describe(path, manifest),
        parent: record.parent?.id ?? record.continues?.[context.remoteId]?.parent?.id ?? null,
        lineage,
        rollbackCopy,
        phases: phases.list(),
      };
    } catch (error) {
      // Once there is a journal, staging is the new store: only `recover` of the next run may touch it.
      if ((await readJournal(home)) === undefined) await fs.remove(stagingRoot(home));
      throw isDiskFull(error)
        ? diskFull(manifest, { freeBytes, where: 'by count, but a write failed' })
        : error;
    }
  });
}

/** Puts the content of an archive into a directory of its own. `context.home` is that directory's. */
export async function restoreArchiveTo(
  context: Context,
  file: string,
  password: string | undefined,
): Promise<ArchiveRestoredTo> {
  return withArchive(file, password, async ({ path, manifest, reader }) => {
    const { manifest: placed } = await placeAside(context, snapshotContent(manifest), { reader });
    return { type: 'restored-to', dir: context.home.store, ...describe(path, placed) };
  });
}

function describe(path: string, { id, files, statistics }: Manifest): FromArchive {
  return {
    path,
    snapshot: id,
    files: files.length,
    bytes: totalBytes(files),
    records: statistics.records,
  };
}
