import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The folders that are named as vector segments are, and the bytes of their files. */
export async function indexFolders(dir: string): Promise<ReadonlyMap<string, number>> {
  const found = new Map<string, number>();
  const entries = await readdir(dir, { withFileTypes: true });
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1)))
    if (entry.isDirectory() && uuid.test(entry.name))
      found.set(entry.name, await bytesIn(join(dir, entry.name)));
  return found;
}

async function bytesIn(folder: string): Promise<number> {
  const names = await readdir(folder);
  const sizes = await Promise.all(
    names.map(async (name) => {
      const stats = await stat(join(folder, name)).catch(() => undefined);
      return stats?.isFile() === true ? stats.size : 0;
    }),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
