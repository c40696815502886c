import { isSyncAgentError, SyncAgentError } from '../platform/errors.ts';
import { collect } from '../remotes/body.ts';
import type { Remote } from '../remotes/remote.ts';
import { decodeManifest, maxManifestBytes } from './manifest.ts';
import type { Manifest } from './manifest.ts';

interface Options {
  readonly signal?: AbortSignal | undefined;
}

/** A first damage may be the network's; a second one is the object's. Passing a sound commit over would void it. */
export async function readManifest(remote: Remote, key: string, options: Options = {}): Promise<Manifest> {
  try {
    return await readManifestOnce(remote, key, options);
  } catch (error) {
    if (!isSyncAgentError(error, 'SNAPSHOT_CORRUPT')) throw error;
    return readManifestOnce(remote, key, options);
  }
}

async function readManifestOnce(remote: Remote, key: string, options: Options): Promise<Manifest> {
  const { body, size } = await remote.get(key, options);
  if (size > maxManifestBytes) {
    throw new SyncAgentError(
      'SNAPSHOT_CORRUPT',
      `Cannot read manifest "${key}": ${size} bytes is too large for one`,
    );
  }
  return decodeManifest((await collect(body, maxManifestBytes)).toString('utf8'), key);
}
