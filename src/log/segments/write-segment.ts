import { isSyncAgentError } from '../../platform/errors.ts';
import { bytesBody } from '../../remotes/body.ts';
import type { CallOptions, Remote } from '../../remotes/remote.ts';
import { segmentKey } from '../layout.ts';
import { readSegment } from './read-segments.ts';

export interface EncodedSegment {
  readonly snapshot: string;
  readonly number: number;
  readonly bytes: Uint8Array;
  readonly checksum: string;
}

/**
 * Creates a segment, and resolves to whether its number now holds it: false if another writer was first. The same segment may be created
 * again after any failure. A lost answer is no failure: the object itself says whose it is.
 */
export async function createSegment(
  remote: Remote,
  { snapshot, number, bytes, checksum }: EncodedSegment,
  { isConditional = true, ...options }: CallOptions & { readonly isConditional?: boolean } = {},
): Promise<boolean> {
  const isOurs = async (): Promise<boolean> =>
    (await readSegment(remote, snapshot, number, options)).checksum === checksum;
  try {
    await remote.put(segmentKey(snapshot, number), bytesBody(bytes), {
      ...(isConditional ? { ifAbsent: true } : {}),
      contentType: 'application/gzip',
      signal: options.signal,
    });
    return true;
  } catch (error) {
    if (isSyncAgentError(error, 'ALREADY_EXISTS'))
      return isOurs().catch((cause: unknown) => {
        // Damaged, so it is nobody's any more; and its number is used.
        if (isSyncAgentError(cause, 'SNAPSHOT_CORRUPT') || isSyncAgentError(cause, 'TOO_NEW')) return false;
        throw cause;
      });
    if (isSyncAgentError(error, 'REMOTE_UNREACHABLE') && (await isOurs().catch(() => false))) return true;
    throw error;
  }
}
