import { isSyncAgentError } from '../platform/errors.ts';
import { textBody } from '../remotes/body.ts';
import type { CallOptions, Remote } from '../remotes/remote.ts';
import { probeKey } from './layout.ts';
import { reliableMs } from './retention.ts';

export type CreateOnlySupport = 'enforced' | 'ignored' | 'rejected';

/** How often the second write may come late: with a short grace period a slow network is enough for that. */
const maxLateWrites = 5;

/**
 * Tests whether this remote enforces create-only writes. Costs three requests. `snapshotId` is an id that no snapshot will ever
 * have.
 *
 * If the credentials may not delete, the probe object stays, and another host's rotation may remove it between the two writes.
 * So a second write that comes too late, from a host that slept, proves nothing. It then counts as a first write. In very rare
 * cases 'ignored' is wrong. That is harmless: commits request create-only writes in any case.
 */
export async function probeCreateOnly(
  remote: Remote,
  snapshotId: string,
  options: CallOptions & { readonly graceMs: number },
): Promise<CreateOnlySupport> {
  const key = probeKey(snapshotId);
  /** The server's time of the write. Undefined if the write was refused. */
  const writtenAt = async (text: string): Promise<number | undefined> => {
    try {
      const { serverTime } = await remote.put(key, textBody(text), {
        ifAbsent: true,
        signal: options.signal,
      });
      return serverTime.getTime();
    } catch (error) {
      if (isSyncAgentError(error, 'ALREADY_EXISTS')) return undefined;
      throw error;
    }
  };
  try {
    // If the first write is refused, an answer was lost, and the retry found the object of the first try.
    let before = await writtenAt('first');
    for (let tries = 1; before !== undefined; tries += 1) {
      const again = await writtenAt('second');
      const isProof = again !== undefined && again - before < reliableMs(options.graceMs);
      if (isProof || (again !== undefined && tries === maxLateWrites)) return 'ignored';
      before = again;
    }
    return 'enforced';
  } catch (error) {
    if (isSyncAgentError(error, 'UNSUPPORTED')) return 'rejected';
    throw error;
  } finally {
    // If the probe stays, rotation removes it with the other garbage of the history.
    await remote.remove([key], { signal: options.signal }).catch((error: unknown) => {
      if (!isSyncAgentError(error) || error.code === 'INTERRUPTED') throw error;
    });
  }
}
