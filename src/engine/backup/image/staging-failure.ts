import { lstat } from 'node:fs/promises';
import { SyncAgentError, errnoOf, messageOf } from '../../../platform/errors.ts';
import { totalBytes } from '../../../log/manifest.ts';
import { isDiskFull } from '../../../platform/disk-space.ts';
import { stagingRoot } from '../../../home/home.ts';
import { scanStore } from '../../../stores/content/scan.ts';
import type { Context } from '../../context.ts';

/** The error for a failed capture. It says how much space is needed, or what removed the staging directory. */
export async function stagingFailure(context: Context, error: unknown): Promise<unknown> {
  const { home, fs, diskSpace } = context;
  const staging = stagingRoot(home);
  if (isDiskFull(error)) {
    await fs.remove(staging);
    const needed = totalBytes((await scanStore(home.store, home.exclude)).files);
    const { freeBytes } = await diskSpace(home.dir);
    const missing = needed > freeBytes ? `, ${needed - freeBytes} are missing` : '';
    return new SyncAgentError(
      'DISK_FULL',
      `Cannot back up "${home.store}": an image of it needs ${needed} bytes at "${home.dir}", ${freeBytes} are free${missing}: ${messageOf(error)}`,
      { remedy: 'Free some space there, or raise the quota, and run it again', cause: error },
    );
  }
  if (errnoOf(error) !== 'ENOENT' || (await exists(staging))) return error;
  return new SyncAgentError(
    'NOT_FOUND',
    `Cannot back up "${home.store}": its staging directory "${staging}" vanished`,
    { remedy: 'Let nothing else write there, and run it again', cause: error },
  );
}

const exists = (path: string): Promise<boolean> =>
  lstat(path).then(
    () => true,
    () => false,
  );
