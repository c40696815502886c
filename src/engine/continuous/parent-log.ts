import { readState } from '../../home/state.ts';
import type { LogView } from '../../log/commit-log.ts';
import { epochOf } from '../../log/precedence.ts';
import { afterSegment, endsRun, listSegments, readSegment } from '../../log/segments/read-segments.ts';
import type { ChainEnd } from '../../log/segments/read-segments.ts';
import type { Context } from '../context.ts';
import { manifestIfReadable, manifestOf, readRemote } from '../remote-log.ts';
import { pin } from '../history/pin.ts';
import { leftReason, sealLog, warnOfLeftLog } from './seal-log.ts';

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
  const next = view.snapshots.find(
    ({ entry: each }) => each.parent === snapshot && epochOf(each) >= epochOf(entry),
  );
  // Whoever made it may have died before it ended the log.
  if (next !== undefined) return wentOn(snapshot, next.entry.id);
  const { position } = await manifestOf(context, view, entry);
  if (position === undefined) return `snapshot ${snapshot} was made without a log`;
  const last = (await listSegments(remote, snapshot, { signal })).at(-1);
  if (last === undefined) return { number: 0, checksum: null, position };
  try {
    const segment = await readSegment(remote, snapshot, last.number, { signal });
    const { closedBy, writer } = segment.head;
    return closedBy === undefined ? { ...afterSegment(segment), writer } : wentOn(snapshot, closedBy);
  } catch (error) {
    if (!endsRun(error)) throw error;
    return error.message;
  }
}

const wentOn = (snapshot: string, by: string): string =>
  `the log of snapshot ${snapshot} ended when snapshot ${by} went on from it`;

export interface LeftLog {
  readonly snapshot: string;
  /** The snapshot that goes on from it. */
  readonly by: string;
  /** The last segment that this host is known to have written or read. */
  readonly after: number;
  /** This host's name in the segments. */
  readonly writer: string;
}

/**
 * Ends the log of a snapshot that was left: another host may follow it. What that host has added is not in the next snapshot, so the
 * one that was left is pinned. Not for a snapshot that counts less than the one that was left.
 */
export async function endLeftLog(context: Context, { snapshot, by, after, writer }: LeftLog): Promise<void> {
  const { remote, signal } = context;
  const view = await readRemote(context);
  const [entry, next] = [snapshot, by].map(
    (id) => view.snapshots.find(({ entry: each }) => each.id === id)?.entry,
  );
  // Whoever has the lease goes on with the log.
  if (entry !== undefined && next !== undefined && epochOf(entry) > epochOf(next)) return;
  const manifest = entry && (await manifestIfReadable(context, view, entry));
  if (manifest === undefined) return;
  const last = (await sealLog(context, manifest, by)) ?? 0;
  for (let number = after + 1; number <= last; number += 1) {
    const { head } = await readSegment(remote, snapshot, number, { signal });
    if (head.writer === writer) continue;
    warnOfLeftLog(context, snapshot);
    await pin(context, snapshot, { reason: leftReason });
    return;
  }
}
