import { createHash } from 'node:crypto';
import { scratchRoot } from '../../home/home.ts';
import { isLogGivenUp, isOwnSegment, readLogShipped } from '../../home/log-files.ts';
import type { Manifest } from '../../log/manifest.ts';
import { samePosition } from '../../log/segments/position.ts';
import type { LogPosition } from '../../log/segments/position.ts';
import { endsRun, listSegments, readSegment } from '../../log/segments/read-segments.ts';
import type { Segment, SegmentHead } from '../../log/segments/segment.ts';
import type { Context } from '../context.ts';
import { readLogRun } from './read-log.ts';

/** How a store that grew from a snapshot relates to that snapshot's log. */
export type LogRelation =
  | { readonly type: 'equal' }
  /** It holds all that is in the log, and more. */
  | { readonly type: 'ahead' }
  /** All that it holds is in the log, which goes on. */
  | { readonly type: 'behind' }
  /** Both went on from a common position. */
  | { readonly type: 'diverged' };

/**
 * Decides by numbers and content of the newest operations, by no clock. Undefined if the snapshot has no log, or if the store cannot be
 * read. `dir`: an image of the store. Costs a listing, and the log itself only if the store is not at its end.
 */
export async function relateToLog(
  context: Context,
  { id, adapter, position }: Manifest,
  dir = context.home.store,
): Promise<LogRelation | undefined> {
  const { home, remote, signal } = context;
  if (position === undefined) return undefined;
  const log = await context.adapterNamed(adapter).operationLog?.();
  const scratch = scratchRoot(home);
  const local = log?.positionOf(dir, scratch);
  if (log === undefined || local === undefined) return undefined;
  const listed = (await listSegments(remote, id, { signal })).length;
  if (await isLogGivenUp(home)) return { type: 'ahead' };
  const own = await ownEnd(context, { id, position }, { listed, local });
  if (own !== undefined) {
    // What this host has saved since an image was taken is not in it.
    const isImage = dir !== home.store;
    if (isImage && (await isBefore(context, { id, position }, local, own))) return { type: 'behind' };
    return { type: samePosition(own, local) ? 'equal' : 'ahead' };
  }
  const end = await endOf(context, id, { listed, position });
  if (samePosition(end, local)) return { type: 'equal' };
  const isBeyond = local.number >= end.number && log.wasAt(dir, end, scratch) === 'yes';
  // With the same operations, only an earlier state of what has no number is behind.
  if (isBeyond && local.number > end.number) return { type: 'ahead' };
  const isPassed = isBeyond ? samePosition : isAt;
  if (await isInLog(context, { id, position }, local, isPassed)) return { type: 'behind' };
  return { type: isBeyond ? 'ahead' : 'diverged' };
}

/**
 * Whether all that a store holds went into `child`, a snapshot that another host made of the same log: then the store is
 * behind it. False if that cannot be seen.
 */
export async function isPassedOn(
  context: Context,
  parent: Manifest,
  child: Pick<Manifest, 'position'>,
): Promise<boolean> {
  const { id, position } = parent;
  const { home } = context;
  if (position === undefined || child.position === undefined) return false;
  const log = await context.adapterNamed(parent.adapter).operationLog?.();
  const local = log?.positionOf(home.store, scratchRoot(home));
  if (local === undefined) return false;
  const theirs = child.position;
  const states = new Set([position.rest]);
  let isPassed = isAt(position, local);
  let isCovered = isPassed && isAt(position, theirs);
  await readLogRun(context, { snapshot: id, position }, (segment) => {
    states.add(segment.head.to.rest);
    const wasPassed = isPassed;
    isPassed ||= passes(segment, local);
    // Within a segment numbers grow.
    isCovered ||= isPassed && passes(segment, theirs) && (wasPassed || theirs.number >= local.number);
  });
  return isCovered && states.has(local.rest);
}

/** Whether the log of `snapshot` had all that the store holds, by the record of the host that wrote it. */
export async function isWhollyShipped(context: Context, snapshot: string, adapter: string): Promise<boolean> {
  const { home } = context;
  const recorded = await readLogShipped(home);
  if (recorded?.snapshot !== snapshot || (await isLogGivenUp(home))) return false;
  const log = await context.adapterNamed(adapter).operationLog?.();
  const local = log?.positionOf(home.store, scratchRoot(home));
  return local !== undefined && samePosition(recorded.position, local);
}

/** Where the log ends, by its last segment alone. */
async function endOf(
  context: Context,
  snapshot: string,
  { listed, position }: { readonly listed: number; readonly position: LogPosition },
): Promise<LogPosition> {
  return (await headOf(context, snapshot, listed))?.to ?? position;
}

/**
 * Where the log ends, if nobody but this host has written to it since this host's store was there, and if the store is not behind it. The store
 * may have purged all that would show it.
 */
async function ownEnd(
  context: Context,
  { id, position }: { readonly id: string; readonly position: LogPosition },
  { listed, local }: { readonly listed: number; readonly local: LogPosition },
): Promise<LogPosition | undefined> {
  const recorded = await readLogShipped(context.home);
  const isRecorded = (number: number): boolean => recorded?.snapshot === id && recorded.number === number;
  if (isRecorded(listed)) return recorded?.position;
  const newest = await headOf(context, id, listed);
  // Only the end was added, perhaps by this host itself for the snapshot that is being made.
  const isClosed = newest?.closedBy !== undefined;
  const last = isClosed ? listed - 1 : listed;
  if (isRecorded(last)) return recorded?.position;
  // The store grew from the snapshot.
  if (last === 0) return local.number >= position.number ? position : undefined;
  const head = isClosed ? await headOf(context, id, last) : newest;
  if (head === undefined || !(await isOwnSegment(context.home, head))) return undefined;
  if (local.number >= head.to.number) return head.to;
  // A store counts back if a collection is deleted. Else the power was cut, and it lost its end.
  const rests = await restsOf(context, { id, position });
  return rests.has(local.rest) ? undefined : head.to;
}

/** Whether the last writes in the log of a snapshot are this host's own. */
export async function endsInOwn(context: Context, id: string): Promise<boolean> {
  const { length } = await listSegments(context.remote, id, { signal: context.signal });
  const newest = await headOf(context, id, length);
  const last = newest?.closedBy === undefined ? newest : await headOf(context, id, length - 1);
  return last !== undefined && isOwnSegment(context.home, last);
}

/** Whether a store at `local` may be an earlier state of a log that ends at `end`. */
async function isBefore(
  context: Context,
  log: { readonly id: string; readonly position: LogPosition },
  local: LogPosition,
  end: LogPosition,
): Promise<boolean> {
  // It counts back where collections are deleted, and then what has no number has changed.
  if (samePosition(local, end) || (local.number > end.number && local.rest === end.rest)) return false;
  return (await restsOf(context, log)).has(local.rest);
}

/** Each state of what has no number that a log has. */
async function restsOf(
  context: Context,
  { id, position }: { readonly id: string; readonly position: LogPosition },
): Promise<ReadonlySet<string>> {
  const rests = new Set([position.rest]);
  await readLogRun(context, { snapshot: id, position }, ({ head }) => void rests.add(head.to.rest));
  return rests;
}

/** Undefined if there is no such segment, or if it cannot be read. */
async function headOf(
  { remote, signal }: Context,
  snapshot: string,
  number: number,
): Promise<SegmentHead | undefined> {
  if (number === 0) return undefined;
  try {
    return (await readSegment(remote, snapshot, number, { signal })).head;
  } catch (error) {
    if (!endsRun(error)) throw error;
    return undefined;
  }
}

/** Whether a store at `local` is some earlier state of the log. */
async function isInLog(
  context: Context,
  { id, position }: { readonly id: string; readonly position: LogPosition },
  local: LogPosition,
  isSame: (a: LogPosition, b: LogPosition) => boolean,
): Promise<boolean> {
  let isFound = isSame(position, local);
  const rests = new Set([position.rest]);
  await readLogRun(context, { snapshot: id, position }, (segment) => {
    isFound ||= isSame(segment.head.to, local) || (isSame === isAt && passes(segment, local));
    rests.add(segment.head.to.rest);
  });
  // What has no number may have been changed since.
  return isFound && rests.has(local.rest);
}

/** Whether a store that applied some of the segment's operations, all or none among them, stands at `local`. */
function passes({ head, lines }: Segment, local: LogPosition): boolean {
  if (isAt(head.to, local)) return true;
  const first = (head.cutTo ?? head.from.number) + 1;
  if (local.number < first || local.number > head.to.number) return false;
  const line = lines[local.number - first] ?? '';
  return createHash('sha256').update(line).digest('hex') === local.operation;
}

const isAt = (a: LogPosition, b: LogPosition): boolean =>
  a.number === b.number && a.operation === b.operation;
