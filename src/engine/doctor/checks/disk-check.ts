import { storeExists } from '../../../home/home.ts';
import { totalBytes } from '../../../log/manifest.ts';
import { scanStore } from '../../../stores/content/scan.ts';
import type { Check } from '../check.ts';

/** A backup needs room for an image of the store, a restore for the snapshot beside it. */
export const diskCheck: Check = {
  name: 'disk',
  find: async ({ home, diskSpace }) => {
    const { freeBytes } = await diskSpace(home.store);
    const needed = (await storeExists(home))
      ? totalBytes((await scanStore(home.store, home.exclude)).files)
      : 0;
    const detail = `${inMiB(freeBytes)} are free, the store has ${inMiB(needed)}`;
    if (freeBytes >= 2 * needed) return [{ status: 'ok', detail }];
    if (freeBytes >= needed)
      return [{ status: 'warn', detail, remedy: 'Free some space before the store grows' }];
    const remedy = 'Free some space: a backup stages an image of the store';
    return [{ status: 'fail', code: 'DISK_FULL', detail, remedy }];
  },
};

const inMiB = (bytes: number): string => `${Math.round(bytes / 1024 / 1024)} MiB`;
