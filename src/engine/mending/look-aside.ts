import { join } from 'node:path';
import { isDiskFull } from '../../platform/disk-space.ts';
import { stagingRoot } from '../../home/home.ts';
import type { StoreAdapter } from '../../stores/adapter.ts';
import type { Context } from '../context.ts';
import { copyStore, diskFull } from './mended-copy.ts';
import type { StoppedStore } from './stopped-store.ts';

/**
 * Lets `look` read a store that nobody has open. One with a database in WAL mode is copied for it: a reader makes files beside such a
 * database, even if it only looks.
 */
export async function lookAside<T>(
  context: Context,
  { scan, action }: StoppedStore,
  adapter: StoreAdapter,
  look: (dir: string) => Promise<T>,
): Promise<T> {
  const { home, fs } = context;
  if (!(await adapter.hasReadersFiles(home.store))) return look(home.store);
  const dir = join(stagingRoot(home), 'look');
  try {
    await copyStore(context, scan, dir);
    return await look(dir);
  } catch (error) {
    throw isDiskFull(error) ? await diskFull(context, action, error) : error;
  } finally {
    await fs.remove(dir);
  }
}
