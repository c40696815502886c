import { mkdir, mkdtemp, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const cache = fileURLToPath(new URL('../../../.cache/bench', import.meta.url));

/**
 * The directory `.cache/bench/KIND-SIZE`, made the first time. Two sizes of each kind are kept, the ones used last. A
 * directory gets its name when it is complete.
 */
export async function cached(
  kind: string,
  size: number,
  make: (work: string) => Promise<void>,
): Promise<string> {
  const path = join(cache, `${kind}-${size}`);
  if (await markUsed(path)) return path;
  await mkdir(cache, { recursive: true });
  for (const old of (await sizesOf(kind)).slice(1)) await rm(old, { recursive: true });
  const work = await mkdtemp(join(cache, '.making-'));
  try {
    await make(work);
    await rename(work, path);
  } catch (error) {
    await rm(work, { recursive: true, force: true });
    throw error;
  }
  return path;
}

async function markUsed(path: string): Promise<boolean> {
  const now = new Date();
  return utimes(path, now, now).then(
    () => true,
    () => false,
  );
}

/** The one used last first. */
async function sizesOf(kind: string): Promise<readonly string[]> {
  const found: { readonly path: string; readonly usedMs: number }[] = [];
  for (const name of await readdir(cache)) {
    if (name.replace(/-\d+$/, '') !== kind) continue;
    const path = join(cache, name);
    found.push({ path, usedMs: (await stat(path)).mtimeMs });
  }
  return found.toSorted((a, b) => b.usedMs - a.usedMs).map(({ path }) => path);
}
