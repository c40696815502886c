import { SyncAgentError, isSyncAgentError } from '../../platform/errors.ts';
import { collect } from '../../remotes/body.ts';
import type { CallOptions, Remote } from '../../remotes/remote.ts';
import { parseSegmentKey, segmentKey, segmentsPrefix } from '../layout.ts';
import { samePosition } from './position.ts';
import type { LogPosition } from './position.ts';
import { decodeSegment } from './segment.ts';
import type { Segment } from './segment.ts';

/** A segment that is larger is none of ours. */
const maxSegmentBytes = 64 * 1024 * 1024;

export interface ListedSegment {
  readonly number: number;
  /** Compressed. */
  readonly bytes: number;
  /** By the server's clock. */
  readonly lastModified: Date;
}

/** The segments of a snapshot's log that follow each other from the first, or from `after`. Costs one request for each 1,000. */
export async function listSegments(
  remote: Remote,
  snapshot: string,
  { after = 0, signal }: CallOptions & { readonly after?: number } = {},
): Promise<readonly ListedSegment[]> {
  const found: ListedSegment[] = [];
  const startAfter = after === 0 ? {} : { startAfter: segmentKey(snapshot, after) };
  for await (const { objects } of remote.list(segmentsPrefix(snapshot), { signal, ...startAfter })) {
    for (const { key, size, lastModified } of objects) {
      const number = parseSegmentKey(snapshot, key);
      if (number === after + found.length + 1) found.push({ number, bytes: size, lastModified });
    }
  }
  return found;
}

/**
 * Reads a segment, and reads it again if it is damaged: the first damage may come from the network. A log that seems to end there would be
 * restored without the rest.
 */
export async function readSegment(
  remote: Remote,
  snapshot: string,
  number: number,
  options: CallOptions = {},
): Promise<Segment> {
  try {
    return await readSegmentOnce(remote, snapshot, number, options);
  } catch (error) {
    if (!isSyncAgentError(error, 'SNAPSHOT_CORRUPT')) throw error;
    return readSegmentOnce(remote, snapshot, number, options);
  }
}

async function readSegmentOnce(
  remote: Remote,
  snapshot: string,
  number: number,
  { signal }: CallOptions,
): Promise<Segment> {
  const key = segmentKey(snapshot, number);
  const fail = (why: string): SyncAgentError =>
    new SyncAgentError('SNAPSHOT_CORRUPT', `Cannot read the log segment "${key}": ${why}`);
  const { body, size } = await remote.get(key, { signal });
  if (size > maxSegmentBytes) throw fail(`it has ${size} bytes`);
  const segment = await decodeSegment(await collect(body, maxSegmentBytes), key);
  const { head } = segment;
  if (head.snapshot !== snapshot || head.number !== number)
    throw fail(`it is number ${head.number} of snapshot ${head.snapshot}`);
  return segment;
}

/** Where a chain of segments has come to. */
export interface ChainEnd {
  /** Of the last segment; 0 before the first. */
  readonly number: number;
  readonly checksum: string | null;
  readonly position: LogPosition;
}

/** Why `segment` does not continue a chain; undefined if it does. */
export function chainProblem({ head }: Segment, end: ChainEnd): string | undefined {
  if (head.number !== end.number + 1) return `number ${head.number} does not follow ${end.number}`;
  if (head.previous !== end.checksum) return `segment ${head.number} does not name the one before it`;
  if (!samePosition(head.from, end.position))
    return `segment ${head.number} goes on from operation ${head.from.number}, the one before ends at ${end.position.number}`;
  return undefined;
}

export const afterSegment = ({ head, checksum }: Segment): ChainEnd => ({
  number: head.number,
  checksum,
  position: head.to,
});

/** Whether an error says that a segment is missing, damaged or from the future: the run of valid ones ends before it. */
export const endsRun = (error: unknown): error is SyncAgentError =>
  isSyncAgentError(error, 'SNAPSHOT_CORRUPT') ||
  isSyncAgentError(error, 'NOT_FOUND') ||
  isSyncAgentError(error, 'TOO_NEW');
