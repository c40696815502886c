import { totalBytes } from '../../log/manifest.ts';
import { storeExists } from '../../home/home.ts';
import { SyncAgentError } from '../../platform/errors.ts';
import { scanStore } from '../../stores/content/scan.ts';
import type { Context } from '../context.ts';
import { spareBytes } from '../restore/disk-shortage.ts';

/**
 * Before anything is built: NOT_FOUND if there is no store, DISK_FULL if the disk could not hold the smallest store that would be
 * accepted beside the present one.
 */
export async function assertBuildable(
  { home, diskSpace, settings }: Context,
  { allowShrink = false }: { readonly allowShrink: boolean | undefined },
): Promise<void> {
  if (!(await storeExists(home))) {
    throw new SyncAgentError('NOT_FOUND', `Cannot rebuild "${home.store}": there is no store`, {
      remedy: 'Check --store. A store that never was is built in its place',
    });
  }
  const bytes = totalBytes((await scanStore(home.store, home.exclude)).files);
  const needed = spareBytes + (allowShrink ? 0 : Math.floor(bytes * (1 - settings.maxShrink)));
  const { freeBytes } = await diskSpace(home.dir);
  if (freeBytes >= needed) return;
  throw new SyncAgentError(
    'DISK_FULL',
    `Cannot rebuild "${home.store}": it has ${bytes} bytes, and a new store needs ${needed} at least, of which ${spareBytes} stay free; ${freeBytes} are free at "${home.dir}"`,
    { remedy: 'Free some space there' },
  );
}
