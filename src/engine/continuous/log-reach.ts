import { endsRun, listSegments, readSegment } from '../../log/segments/read-segments.ts';
import type { Context } from '../context.ts';

/** Up to where writes after a snapshot are saved behind it. */
export interface LogReach {
  readonly segments: number;
  /** Compressed. */
  readonly bytes: number;
  /** Number of the last operation; undefined if there is no segment, or if the last one cannot be read. */
  readonly upTo: number | undefined;
  /** When the last operation was read, by the clock of its host: ISO 8601, UTC. */
  readonly until: string | undefined;
  /** Why the last segment cannot be read. */
  readonly problem: string | undefined;
}

/** Lists the log, and reads its last segment. Whether all of them follow each other is for `verify` to find out. */
export async function logReach({ remote, signal }: Context, snapshot: string): Promise<LogReach> {
  const listed = await listSegments(remote, snapshot, { signal });
  const segments = listed.length;
  const bytes = listed.reduce((sum, each) => sum + each.bytes, 0);
  const nothing = { segments, bytes, upTo: undefined, until: undefined, problem: undefined };
  if (segments === 0) return nothing;
  try {
    const { head } = await readSegment(remote, snapshot, segments, { signal });
    return { ...nothing, upTo: head.to.number, until: head.readAt.last };
  } catch (error) {
    if (!endsRun(error)) throw error;
    return { ...nothing, problem: error.message };
  }
}
