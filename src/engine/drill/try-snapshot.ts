import type { Manifest } from '../../log/manifest.ts';
import { isSyncAgentError } from '../../platform/errors.ts';
import type { StoreAdapter } from '../../stores/adapter.ts';
import type { Context } from '../context.ts';
import { placeSnapshotAside } from '../restore/restore-to.ts';
import { checkCopy } from './check-copy.ts';
import type { CheckedCopy } from './check-copy.ts';
import { assertOwnFiles } from './drill-place.ts';
import type { DrillPlace } from './drill-place.ts';
import { noServer } from './drill-report.ts';
import type { DrilledServer, DrillProblem, DrillStep, DrillStepName } from './drill-report.ts';
import type { ExpectedCollection } from './expected-records.ts';
import { tryServer } from './try-server.ts';

/** What came of restoring one snapshot and trying it out. */
export interface Trial {
  /** Undefined if it could not be restored. */
  readonly restored: RestoredCopy | undefined;
  readonly records: number;
  readonly steps: readonly DrillStep[];
  readonly problems: readonly DrillProblem[];
  readonly findings: readonly string[];
  /** Damaged objects in whose place others were taken, in sentences. */
  readonly replaced: readonly string[];
  readonly server: DrilledServer;
}

export interface RestoredCopy {
  readonly dir: string;
  readonly manifest: Manifest;
  readonly adapter: StoreAdapter;
  /** What the files say is in it; undefined for a kind of store without records, and if they cannot be read. */
  readonly expected: readonly ExpectedCollection[] | undefined;
}

export interface TrialRequest {
  readonly id: string;
  readonly place: DrillPlace;
  /** The command that starts a server, or `off`. */
  readonly server: string | undefined;
}

/** Restores a snapshot, checks everything in it, and asks a server for it. SNAPSHOT_CORRUPT and damage are part of the result. */
export async function trySnapshot(context: Context, request: TrialRequest): Promise<Trial> {
  const { id, place } = request;
  const { clock } = context;
  const problems: DrillProblem[] = [];
  const replaced: string[] = [];
  const steps: DrillStep[] = [];
  let copy: RestoredCopy | undefined;
  let checked: CheckedCopy | undefined;
  let server: DrilledServer | undefined;
  /** Runs a step if all before have passed. Resolves to whether it passed, too. */
  const step = async (name: DrillStepName, work: () => Promise<readonly string[]>): Promise<boolean> => {
    const startMs = clock.monotonic();
    const found = await work();
    problems.push(...found.map((message) => ({ foundBy: name, message })));
    const outcome = found.length > 0 ? 'failed' : server?.state === 'none' ? 'skipped' : 'passed';
    steps.push({ name, outcome, tookMs: Math.round(clock.monotonic() - startMs) });
    return found.length === 0;
  };
  const end = (why: string): Trial => ({
    restored: copy && { ...copy, expected: checked?.expected },
    records: checked?.records ?? 0,
    steps,
    problems,
    findings: checked?.findings ?? [],
    replaced,
    server: server ?? noServer(why),
  });

  const isRestored = await step('restore', async () => {
    const home = await place.fresh();
    try {
      const quiet = { ...context, home, emit: withoutReplaced(context, replaced) };
      const { manifest } = await placeSnapshotAside(quiet, { snapshot: id });
      await assertOwnFiles(home.store);
      const adapter = context.adapterNamed(manifest.adapter);
      copy = { dir: home.store, manifest, adapter, expected: undefined };
      return [];
    } catch (error) {
      if (!isSyncAgentError(error, 'SNAPSHOT_CORRUPT')) throw error;
      return [error.message];
    }
  });
  const made = copy;
  if (!isRestored || made === undefined) return end('the snapshot could not be restored');
  const isSound = await step('check', async () => {
    checked = await checkCopy(context, made, place.scratch);
    return checked.damage;
  });
  if (!isSound) return end('no server is started on a damaged copy');
  await step('server', async () => {
    const tried = await tryServer(context, { ...made, expected: checked?.expected }, request);
    ({ server } = tried);
    return tried.problems;
  });
  return end('');
}

/** A restore that takes other objects in the place of damaged ones warns; for a drill each is a problem. */
function withoutReplaced({ emit }: Context, replaced: string[]): Context['emit'] {
  return (event) => {
    if (event.type === 'warning' && event.code === 'SNAPSHOT_CORRUPT') replaced.push(event.message);
    else emit(event);
  };
}
