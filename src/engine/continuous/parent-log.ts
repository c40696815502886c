import { readState } from '../../home/state.ts';
import type { LogView } from '../../log/commit-log.ts';
import { epochOf } from '../../log/precedence.ts';
import { afterSegment, endsRun, listSegments, readSegment } from '../../log/segments/read-segments.ts';
import type { ChainEnd } from '../../log/segments/read-segments.ts';
import type { Context } from '../context.ts';
import { manifestIfReadable, manifestOf, readRemote } from '../remote-log.ts';
import { sealLog } from './seal-log.ts';

/** What the local record says of the snapshot that the store grew from. */
export interface RecordedParent {
  readonly parent: string | undefined;
  /** A snapshot of the store whose commit may or may not have happened. */
  readonly pending: string | undefined;
  /** Whether the remote takes the condition of a create-only write. */
  readonly isConditional: boolean;
}

export async function recordedParent({ home, remoteId }: Context): Promise<RecordedParent> {
  const recorded = (await readState(home))?.remotes[remoteId];
  return {
    parent: recorded?.parent?.id,
    pending: recorded?.pending?.id,
    isConditional: recorded?.createOnly !== 'rejected',
  };
}

/** Where a log can be continued. */
export interface LogEnd extends ChainEnd {
  /** Of the last segment. Absent before the first. */
  readonly writer?: string;
}

/** Where the log of a snapshot ends; or why it cannot be continued. */
export async function endOfLog(context: Context, view: LogView, snapshot: string): Promise<LogEnd | string> {
  const { remote, signal } = context;
  const entry = view.snapshots.find(({ entry: { id } }) => id === snapshot)?.entry;
  if (entry === undefined) return `snapshot ${snapshot} is not in the remote any more`;
  const { position } = await manifestOf(context, view, entry);
  if (position === undefined) return `snapshot ${snapshot} was made without a log`;
  const last = (await listSegments(remote, snapshot, { signal })).at(-1);
  if (last === undefined) return { number: 0, checksum: null, position };
  try {
    const segment = await readSegment(remote, snapshot, last.number, { signal });
    const { closedBy, writer } = segment.head;
    return closedBy === undefined
      ? { ...afterSegment(segment), writer }
      : `the log of snapshot ${snapshot} ended when snapshot ${closedBy} went on from it`;
  } catch (error) {
    if (!endsRun(error)) throw error;
    return error.message;
  }
}

/** Ends the log of a snapshot that was left: another host may follow it. Not for a snapshot that counts less. */
export async function sealLeftLog(context: Context, left: string, by: string): Promise<void> {
  const view = await readRemote(context);
  const [entry, next] = [left, by].map(
    (snapshot) => view.snapshots.find(({ entry: { id } }) => id === snapshot)?.entry,
  );
  // Whoever has the lease goes on with the log.
  if (entry !== undefined && next !== undefined && epochOf(entry) > epochOf(next)) return;
  const manifest = entry && (await manifestIfReadable(context, view, entry));
  if (manifest !== undefined) await sealLog(context, manifest, by);
}
