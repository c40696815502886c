import { SyncAgentError } from '../../platform/errors.ts';
import { readState } from '../../home/state.ts';
import type { Manifest } from '../../log/manifest.ts';
import { afterSegment, endsRun, listSegments, readSegment } from '../../log/segments/read-segments.ts';
import type { ChainEnd } from '../../log/segments/read-segments.ts';
import { encodeSegment } from '../../log/segments/segment.ts';
import { createSegment } from '../../log/segments/write-segment.ts';
import type { Context } from '../context.ts';

/** Each try is lost only to a host that wrote a segment meanwhile. */
const mostTries = 20;

/**
 * Ends the log of a snapshot, because snapshot `by` goes on from it: an empty segment takes the next number. Another host that still
 * writes there is overtaken with its next write. So it makes a snapshot of its own, and both are seen. Resolves to the number of the last
 * segment before the end; undefined if the log cannot be read to its end.
 */
export async function sealLog(
  context: Context,
  { id, position }: Pick<Manifest, 'id' | 'position'>,
  by: string,
  options: { readonly isConditional?: boolean } = {},
): Promise<number | undefined> {
  if (position === undefined) return undefined;
  const { remote, remoteId, signal, settings, clock, home } = context;
  // Not every remote takes the condition that keeps two writers apart.
  const createOnly = (await readState(home))?.remotes[remoteId]?.createOnly;
  const { isConditional = createOnly !== 'rejected' } = options;
  const at = new Date(clock.now()).toISOString();
  for (let tries = 0; tries < mostTries; tries += 1) {
    const last = (await listSegments(remote, id, { signal })).at(-1);
    const newest = last && (await readSegment(remote, id, last.number, { signal }).catch(unlessItEndsRun));
    // Nobody of this version goes on with a log that ends in a segment that cannot be read.
    if (last !== undefined && newest === undefined) return undefined;
    if (newest?.head.closedBy !== undefined) return newest.head.number - 1;
    const end: ChainEnd =
      newest === undefined ? { number: 0, checksum: null, position } : afterSegment(newest);
    const number = end.number + 1;
    const head = {
      snapshot: id,
      number,
      previous: end.checksum,
      writer: clock.randomHex(16),
      host: settings.host,
      agent: settings.agent,
      from: end.position,
      to: end.position,
      operations: 0,
      readAt: { first: at, last: at },
      closedBy: by,
    };
    const segment = { snapshot: id, number, ...(await encodeSegment(head, [])) };
    if (await createSegment(remote, segment, { signal, isConditional })) return end.number;
  }
  throw new SyncAgentError(
    'BUSY',
    `Cannot end the log of snapshot ${id}: another host writes it without a pause`,
    {
      retryable: true,
    },
  );
}

export const leftReason = 'its log has writes of another host that the snapshot after it does not have';

export function warnOfLeftLog({ emit }: Pick<Context, 'emit'>, id: string): void {
  emit({
    type: 'warning',
    code: 'DIVERGED',
    message: `The log of snapshot ${id} has writes of another host that this store does not have. Both are kept, the snapshot is pinned`,
    remedy: `"sync-agent restore --to DIR --snapshot ${id} --at now" puts it with its log into a directory; "sync-agent unpin ${id}" when it is settled`,
  });
}

function unlessItEndsRun(error: unknown): undefined {
  if (endsRun(error)) return undefined;
  throw error;
}
