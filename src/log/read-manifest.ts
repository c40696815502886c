import { isSyncAgentError, SyncAgentError } from '../platform/errors.ts';
import { collect } from '../remotes/body.ts';
import type { CallOptions, Remote } from '../remotes/remote.ts';
import { decodeManifest, maxManifestBytes } from './manifest-text.ts';
import type { Manifest } from './manifest.ts';

/** The remote that holds a log, and the formats that its reader knows. A manifest of any other format is TOO_NEW. */
export interface LogSource {
  readonly remote: Remote;
  readonly formats: { readonly numbers: readonly number[] };
}

/**
 * Reads a manifest, and reads it again if it is damaged: the first damage may come from the network, the second one is in
 * the object. A sound commit must not be skipped, because the next commit would make it void.
 */
export async function readManifest(
  log: LogSource,
  key: string,
  options: CallOptions = {},
): Promise<Manifest> {
  try {
    return await readManifestOnce(log, key, options);
  } catch (error) {
    if (!isSyncAgentError(error, 'SNAPSHOT_CORRUPT')) throw error;
    return readManifestOnce(log, key, options);
  }
}

async function readManifestOnce(log: LogSource, key: string, options: CallOptions): Promise<Manifest> {
  const { body, size } = await log.remote.get(key, options);
  if (size > maxManifestBytes) {
    throw new SyncAgentError(
      'SNAPSHOT_CORRUPT',
      `Cannot read manifest "${key}": ${size} bytes is too large for one`,
    );
  }
  return decodeManifest(
    (await collect(body, maxManifestBytes, size)).toString('utf8'),
    key,
    log.formats.numbers,
  );
}
