import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { nodeFileSystem } from '../../src/platform/file-system.ts';
import type { FileSystem } from '../../src/platform/file-system.ts';

/**
 * A disk whose store is in a lower layer of an overlay without `redirect_dir`: the directories that it has now cannot be
 * renamed (EXDEV), files and directories that are made later can.
 */
export function lowerLayer(store: string): FileSystem {
  const lower = new Set<number>();
  const visit = (path: string): void => {
    lower.add(lstatSync(path).ino);
    for (const entry of readdirSync(path, { withFileTypes: true }))
      if (entry.isDirectory()) visit(join(path, entry.name));
  };
  visit(store);
  return {
    ...nodeFileSystem,
    rename: async (from, to) => {
      const stats = lstatSync(from, { throwIfNoEntry: false });
      if (stats?.isDirectory() === true && lower.has(stats.ino))
        throw Object.assign(new Error('EXDEV: cross-device link not permitted'), { code: 'EXDEV' });
      await nodeFileSystem.rename(from, to);
    },
  };
}
