import { readFile } from 'node:fs/promises';
import { cachedManifestPath, readState } from '../home/state.ts';
import type { LocalState } from '../home/state.ts';
import type { KnownCommit } from '../log/commit-log.ts';
import { decodeManifest, manifestBody } from '../log/manifest-text.ts';
import type { Manifest } from '../log/manifest.ts';
import { writeFileAtomic } from '../platform/file-system.ts';
import { storeIdentity } from '../stores/content/fingerprint.ts';
import type { Context } from './context.ts';

/** Keeps the manifest of the store's parent on this host, so that it need not be fetched. */
export async function cacheManifest(context: Context, manifest: Manifest): Promise<void> {
  await context.fs.makeDirectory(context.home.dir);
  const path = cachedManifestPath(context.home, context.remoteId);
  await writeFileAtomic(context.fs, path, manifestBody(manifest).open());
}

/** The parent's manifest, if this host kept it. Makes no request. */
export async function knownParent(context: Context): Promise<Manifest | undefined> {
  return (await readKnownCommit(context))?.manifest;
}

/**
 * A snapshot in any remote that the present store was once equal to, if this host kept its manifest. It says what the store
 * should hold. Makes no request.
 */
export async function lastKnownManifest(context: Context): Promise<Manifest | undefined> {
  const { home, remoteId } = context;
  const local = await readState(home);
  if (local === undefined || local.identity !== (await storeIdentity(home.store))) return undefined;
  for (const name of [remoteId, ...Object.keys(local.remotes)]) {
    const known = await readCached(context, local, name);
    if (known !== undefined) return known.manifest;
  }
  return undefined;
}

/** The parent's commit, if this host kept it. */
export async function readKnownCommit(context: Context): Promise<KnownCommit | undefined> {
  return readCached(context, await readState(context.home), context.remoteId);
}

async function readCached(
  { home, formats }: Context,
  local: LocalState | undefined,
  remoteId: string,
): Promise<KnownCommit | undefined> {
  const parent = local?.remotes[remoteId]?.parent;
  if (parent == null) return undefined;
  const path = cachedManifestPath(home, remoteId);
  try {
    const manifest = decodeManifest(await readFile(path, 'utf8'), path, formats.numbers);
    return manifest.id === parent.id && manifest.generation === parent.generation
      ? { manifest, lastModifiedMs: parent.lastModifiedMs }
      : undefined;
  } catch {
    return undefined;
  }
}
