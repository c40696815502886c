import type { LogView } from '../../log/commit-log.ts';
import type { SyncAgentError } from '../../platform/errors.ts';
import type { Context } from '../context.ts';
import { noServer } from './drill-report.ts';
import type { DrillProblem, DrillRecovery, DrillReport } from './drill-report.ts';
import type { ExaminedLog } from './examine-log.ts';
import { trySnapshot } from './try-snapshot.ts';
import type { Trial, TrialRequest } from './try-snapshot.ts';

export interface FailedDrill {
  readonly view: LogView;
  readonly examined: ExaminedLog;
  readonly trial: Trial;
  readonly request: TrialRequest;
}

/** What a restore would do, tried out: the snapshot all the same, or the newest older one that passes. */
export async function findRecovery(
  context: Context,
  { view, examined, trial, request }: FailedDrill,
): Promise<DrillRecovery> {
  if (trial.problems.length === 0) {
    const how =
      trial.replaced.length > 0
        ? 'a restore takes the current files, which are right, in the place of what is damaged'
        : examined.isCopyUsed
          ? 'a restore goes by the copies of the commits'
          : 'a restore needs nothing of what is damaged';
    return {
      type: 'same-snapshot',
      works: true,
      snapshot: request.id,
      message: `${how}; the restored store passed`,
    };
  }
  const entries = view.snapshots.map(({ entry }) => entry);
  const older = entries.slice(
    0,
    entries.findIndex(({ id }) => id === request.id),
  );
  for (const { id, damaged } of older.toReversed()) {
    if (damaged === true) continue;
    const { problems } = await trySnapshot(context, { ...request, id });
    if (problems.length === 0) {
      const message = `a restore goes back to snapshot ${id}, which passed`;
      return { type: 'older-snapshot', works: true, snapshot: id, message };
    }
    // A server that cannot serve sound files of two snapshots will not serve those of others.
    if (isOfServer(trial.problems) && isOfServer(problems))
      return nothing(`the files are sound, and the server fails on snapshot ${id}, too: look at the server`);
  }
  return nothing(
    older.length === 0
      ? 'there is no older snapshot; back the store up while you have it'
      : `none of the ${older.length} older snapshots passes either; back the store up while you have it`,
  );
}

const isOfServer = (problems: readonly DrillProblem[]): boolean =>
  problems.every(({ foundBy }) => foundBy === 'server');

const nothing = (message: string): DrillRecovery => ({
  type: 'none',
  works: false,
  snapshot: null,
  message,
});

/** The report of a remote whose commits are gone. */
export function lostList(error: SyncAgentError, tookMs: number): DrillReport {
  return {
    type: 'failed',
    snapshot: null,
    createdAt: null,
    chosen: 'newest',
    kind: null,
    files: 0,
    bytes: 0,
    records: 0,
    steps: [{ name: 'list', outcome: 'failed', tookMs }],
    problems: [{ foundBy: 'list', message: error.message }],
    findings: [],
    server: noServer('there is no list of snapshots'),
    recovery: nothing('"sync-agent repair-remote" shows what of the list can be rebuilt'),
    damage: null,
    tookMs,
  };
}
