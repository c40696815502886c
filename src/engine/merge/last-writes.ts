import type { LogEntry } from '../../log/manifest.ts';
import type { LoggedSubject, OperationLog } from '../../stores/operation-log.ts';
import { readLogRun } from '../continuous/read-log.ts';
import type { Context } from '../context.ts';
import { manifestOf } from '../remote-log.ts';
import type { LogView } from '../../log/commit-log.ts';

/** When one side last wrote a record, milliseconds since the epoch, by its hosts' clocks. */
export type LastWrites = (subject: LoggedSubject) => number;

export interface SideOfLog {
  /** From the common snapshot on, that first, the side itself last. */
  readonly line: readonly LogEntry[];
  /** Segments of the common snapshot's log: the side's own begin after the first, and end with the last. */
  readonly after: number;
  readonly upTo: number;
}

/**
 * Reads when the records were written from the logs of a side's snapshots: a segment says when the last of its writes was read. A write
 * that is in no log counts as one of the moment of the side's snapshot.
 */
export async function lastWrites(
  context: Context,
  view: LogView,
  log: OperationLog | undefined,
  { line, after, upTo }: SideOfLog,
): Promise<LastWrites> {
  const times = new Map<string, number>();
  const made = Date.parse(line.at(-1)?.createdAt ?? '');
  for (const [index, entry] of line.entries()) {
    const { id, position } = await manifestOf(context, view, entry);
    if (position === undefined || log === undefined) continue;
    await readLogRun(
      context,
      { snapshot: id, position, upTo: index === 0 ? upTo : undefined },
      ({ head, lines }) => {
        if (index === 0 && head.number <= after) return;
        for (const text of lines) {
          const subject = log.subjectOf(text);
          if (subject !== undefined) times.set(keyOf(subject), Date.parse(head.readAt.last));
        }
      },
    );
  }
  return (subject) => times.get(keyOf(subject)) ?? made;
}

export const keyOf = ({ collection, id }: LoggedSubject): string => `${collection} ${id}`;
