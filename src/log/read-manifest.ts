import { isSyncAgentError, SyncAgentError } from '../platform/errors.ts';
import { collect } from '../remotes/body.ts';
import type { Remote } from '../remotes/remote.ts';
import { decodeManifest, maxManifestBytes } from './manifest.ts';
import type { Manifest } from './manifest.ts';

/** The remote that a log is kept in, and the formats that its reader knows. A manifest of any other is TOO_NEW. */
export interface LogSource {
  readonly remote: Remote;
  readonly formats: { readonly numbers: readonly number[] };
}

interface Options {
  readonly signal?: AbortSignal | undefined;
}

/** A first damage may be the network's; a second one is the object's. Passing a sound commit over would void it. */
export async function readManifest(log: LogSource, key: string, options: Options = {}): Promise<Manifest> {
  try {
    return await readManifestOnce(log, key, options);
  } catch (error) {
    if (!isSyncAgentError(error, 'SNAPSHOT_CORRUPT')) throw error;
    return readManifestOnce(log, key, options);
  }
}

async function readManifestOnce(log: LogSource, key: string, options: Options): Promise<Manifest> {
  const { body, size } = await log.remote.get(key, options);
  if (size > maxManifestBytes) {
    throw new SyncAgentError(
      'SNAPSHOT_CORRUPT',
      `Cannot read manifest "${key}": ${size} bytes is too large for one`,
    );
  }
  return decodeManifest((await collect(body, maxManifestBytes)).toString('utf8'), key, log.formats.numbers);
}
