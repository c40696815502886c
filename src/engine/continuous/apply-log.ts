import { SyncAgentError, isSyncAgentError } from '../../platform/errors.ts';
import type { Manifest } from '../../log/manifest.ts';
import { samePosition } from '../../log/segments/position.ts';
import type { LogPosition } from '../../log/segments/position.ts';
import type { LogTarget, OperationLog } from '../../stores/operation-log.ts';
import type { Context } from '../context.ts';
import { readLogRun } from './read-log.ts';
import type { LogRequest } from './read-log.ts';

/** What of a snapshot's log was put into a copy of it. */
export interface AppliedLog {
  /** Up to and with this one. */
  readonly segments: number;
  readonly operations: number;
  /** Where the copy stands now. */
  readonly position: LogPosition;
  /** When the last operation was read, by the clock of its host: ISO 8601, UTC. Undefined if there is none. */
  readonly until: string | undefined;
  /** Why the log ends before its last segment. Undefined if it does not. */
  readonly endedBy: string | undefined;
}

/**
 * Puts the log of a snapshot into `dir`, a verified copy of the snapshot that nobody else has. Undefined if the snapshot has none. If one
 * segment does not fit the copy, STORE_CORRUPT: then the copy is garbage.
 */
export async function applyLog(
  context: Context,
  { id, adapter, position }: Manifest,
  dir: string,
  part: Pick<LogRequest, 'untilMs' | 'upTo'> = {},
): Promise<AppliedLog | undefined> {
  if (position === undefined) return undefined;
  const log = await context.adapterNamed(adapter).operationLog?.();
  if (log === undefined) return undefined;
  let target: LogTarget | undefined;
  let operations = 0;
  let until: string | undefined;
  try {
    const run = await readLogRun(context, { snapshot: id, position, ...part }, ({ head, lines }) => {
      target ??= openAt(log, { id, position }, dir);
      if (head.cutTo !== undefined) target.cut(head.cutTo);
      for (const line of lines) target.put(line);
      operations += head.operations;
      until = head.readAt.last;
    });
    if (target === undefined) return { segments: 0, operations, position, until, endedBy: run.endedBy };
    const reached = target.finish();
    if (!samePosition(reached, run.position))
      throw misfit(
        id,
        `after its log it stands at operation ${reached.number}, not at ${run.position.number}`,
      );
    return { segments: run.number, operations, position: reached, until, endedBy: run.endedBy };
  } catch (error) {
    throw isSyncAgentError(error, 'STORE_CORRUPT') ? misfit(id, error.message) : error;
  } finally {
    target?.close();
  }
}

function openAt(
  log: OperationLog,
  { id, position }: { readonly id: string; readonly position: LogPosition },
  dir: string,
): LogTarget {
  const target = log.openTarget(dir);
  if (samePosition(target.position, position)) return target;
  target.close();
  throw misfit(id, `it stands at operation ${target.position.number}, the log begins at ${position.number}`);
}

const misfit = (id: string, why: string): SyncAgentError =>
  new SyncAgentError('SNAPSHOT_CORRUPT', `Cannot apply the log of snapshot ${id}: ${why}`, {
    remedy: `"sync-agent restore --snapshot ${id}" restores the snapshot without its log`,
  });
