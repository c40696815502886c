import { setMaxListeners } from 'node:events';
import {
  afterSegment,
  chainProblem,
  endsRun,
  listSegments,
  readSegment,
} from '../../log/segments/read-segments.ts';
import type { ChainEnd } from '../../log/segments/read-segments.ts';
import type { Segment } from '../../log/segments/segment.ts';
import type { LogPosition } from '../../log/segments/position.ts';
import type { Context } from '../context.ts';

/** Segments in transfer at once. They are of a few kilobytes, so a restore waits for answers rather than for bytes. */
const ahead = 16;

/** What a read of a log has come to. */
export interface LogRun extends ChainEnd {
  /** Why it ends before the last segment. Undefined if it does not. */
  readonly endedBy: string | undefined;
}

export interface LogRequest {
  readonly snapshot: string;
  /** Where the snapshot stands. */
  readonly position: LogPosition;
  /** Only segments that end by then, by their hosts' clocks, milliseconds since the epoch. */
  readonly untilMs?: number | undefined;
  /** Only so many segments. */
  readonly upTo?: number | undefined;
}

/**
 * Hands the longest valid run of a snapshot's log to `onSegment`, in order. It ends before a segment that is missing or damaged, or that does
 * not follow the one before.
 */
export async function readLogRun(
  context: Context,
  { snapshot, position, untilMs = Infinity, upTo = Infinity }: LogRequest,
  onSegment: (segment: Segment) => void | Promise<void>,
): Promise<LogRun> {
  const { remote, signal } = context;
  // Each transfer listens to it.
  if (signal !== undefined) setMaxListeners(0, signal);
  const listed = (await listSegments(remote, snapshot, { signal })).filter(({ number }) => number <= upTo);
  let end: ChainEnd = { number: 0, checksum: null, position };
  const reading: Promise<Segment>[] = [];
  const read = (number: number): Promise<Segment> => {
    const segment = readSegment(remote, snapshot, number, { signal });
    // Whoever comes to it is told.
    segment.catch(() => undefined);
    return segment;
  };
  for (const { number } of listed) {
    while (reading.length < Math.min(ahead, listed.length - end.number))
      reading.push(read(end.number + 1 + reading.length));
    let segment: Segment;
    try {
      segment = await (reading.shift() ?? read(number));
    } catch (error) {
      if (!endsRun(error)) throw error;
      return { ...end, endedBy: error.message };
    }
    const problem = chainProblem(segment, end);
    if (problem !== undefined)
      return { ...end, endedBy: `The log of snapshot ${snapshot} is broken: ${problem}` };
    if (Date.parse(segment.head.readAt.last) > untilMs) break;
    await onSegment(segment);
    end = afterSegment(segment);
  }
  await Promise.allSettled(reading);
  return { ...end, endedBy: undefined };
}
