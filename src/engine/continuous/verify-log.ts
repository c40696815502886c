import { parseSegmentKey, segmentsPrefix } from '../../log/layout.ts';
import type { Manifest } from '../../log/manifest.ts';
import type { Context } from '../context.ts';
import { readLogRun } from './read-log.ts';

/**
 * What is wrong with the log of a snapshot, as sentences: a restore ends where the log does. By presence and numbers; with `readData` every
 * segment is read, and has to follow the one before.
 */
export async function logProblems(
  context: Context,
  { id, position }: Pick<Manifest, 'id' | 'position'>,
  { readData }: { readonly readData: boolean },
): Promise<readonly string[]> {
  if (position === undefined) return [];
  const missing = await missingSegment(context, id);
  const run = readData ? await readLogRun(context, { snapshot: id, position }, () => undefined) : undefined;
  if (run?.endedBy !== undefined) return [`the log ends at operation ${run.position.number}: ${run.endedBy}`];
  if (missing === undefined) return [];
  const reached = run === undefined ? '' : ` at operation ${run.position.number}`;
  return [`the log ends${reached}: segment ${missing} is missing, and later ones are there`];
}

/** The first number that no segment has, if a later one has. */
async function missingSegment({ remote, signal }: Context, snapshot: string): Promise<number | undefined> {
  let next = 1;
  for await (const { objects } of remote.list(segmentsPrefix(snapshot), { signal })) {
    for (const { key } of objects) {
      const number = parseSegmentKey(snapshot, key);
      if (number === undefined) continue;
      if (number !== next) return next;
      next += 1;
    }
  }
  return undefined;
}
