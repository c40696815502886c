import { SyncAgentError } from '../../platform/errors.ts';
import type { StoreDamage } from '../../stores/drilling.ts';
import type { Context } from '../context.ts';
import { mendInPlace } from '../mending/mend-in-place.ts';
import { databasesOf } from '../soundness/judge-store.ts';
import type { DrilledServer, DrillProblem, DrillRecovery, DrillStep } from './drill-report.ts';
import { differencesOf } from './expected-records.ts';
import { checkCopy } from './check-copy.ts';
import { tryServer } from './try-server.ts';
import { trySnapshot } from './try-snapshot.ts';
import type { RestoredCopy, Trial, TrialRequest } from './try-snapshot.ts';

export interface Rehearsed {
  readonly what: string;
  /** What found the damage; empty if nothing did. */
  readonly problems: readonly DrillProblem[];
  readonly recovery: DrillRecovery;
  readonly steps: readonly DrillStep[];
  readonly server: DrilledServer;
}

const outcomes = { answered: 'passed', failed: 'failed', none: 'skipped' } as const;

/**
 * Damages a restored copy, looks whether the check finds it, and repairs the copy; the repaired one must have all that was in it before. What
 * no repair mends is replaced by the snapshot again.
 */
export async function rehearseOnCopy(
  context: Context,
  trial: Trial & { readonly restored: RestoredCopy },
  kind: StoreDamage,
  request: TrialRequest,
): Promise<Rehearsed> {
  const { restored } = trial;
  const { adapter, dir } = restored;
  if (adapter.drilling === undefined) {
    throw new SyncAgentError(
      'USAGE',
      `Cannot damage the copy by "${kind}": nobody knows how to do that to a store of the kind "${adapter.name}"`,
      { remedy: 'Choose damage of the remote, such as "object-missing"' },
    );
  }
  const what = await adapter.drilling.damage(dir, kind);
  const startMs = context.clock.monotonic();
  const found = await checkCopy(context, restored, request.place.scratch);
  const checkMs = Math.round(context.clock.monotonic() - startMs);
  const messages = [...found.damage, ...found.findings.filter((each) => !trial.findings.includes(each))];
  const steps = (server: DrilledServer, serverMs: number): readonly DrillStep[] => [
    ...trial.steps.filter(({ name }) => name === 'restore'),
    {
      name: 'check',
      outcome: messages.length > 0 ? 'failed' : 'passed',
      tookMs: checkMs,
    },
    { name: 'server', outcome: outcomes[server.state], tookMs: serverMs },
  ];
  const problems = messages.map((message) => ({ foundBy: 'check' as const, message }));
  const repaired = await repairCopy(context, trial, request);
  if (repaired !== undefined) {
    const { recovery, server, serverMs } = repaired;
    return { what, problems, recovery, server, steps: steps(server, serverMs) };
  }
  const again = await trySnapshot(context, request);
  const works = again.problems.length === 0;
  const message = works
    ? 'no repair mends all of it; a restore of this snapshot replaces the store'
    : `no repair mends all of it, and a restore of this snapshot fails: ${again.problems[0]?.message ?? ''}`;
  const recovery = { type: 'restore' as const, works, snapshot: request.id, message };
  const { server } = again;
  const serverMs = again.steps.find(({ name }) => name === 'server')?.tookMs ?? 0;
  return { what, problems, recovery, server, steps: steps(server, serverMs) };
}

/** Undefined if a repair cannot mend everything. */
async function repairCopy(
  context: Context,
  { restored, findings }: Trial & { readonly restored: RestoredCopy },
  request: TrialRequest,
): Promise<(Pick<Rehearsed, 'recovery' | 'server'> & { readonly serverMs: number }) | undefined> {
  const { adapter, dir, manifest, expected } = restored;
  const { mending } = adapter;
  const { signal } = context;
  const { scratch } = request.place;
  if (mending === undefined) return undefined;
  const databases = databasesOf(context, manifest);
  const look = (where: string) => mending.planRepair(where, { allowed: [], scratch, databases, signal });
  const { steps, last } = await mendInPlace(context, mending, { dir, plan: await look(dir), look });
  if (last.damage.length > 0) return undefined;
  const checked = await checkCopy(context, restored, scratch);
  const isWhole =
    checked.damage.length === 0 &&
    checked.findings.every((each) => findings.includes(each)) &&
    differencesOf(expected ?? [], checked.expected ?? []).length === 0;
  if (!isWhole) return undefined;
  const startMs = context.clock.monotonic();
  const { server, problems } = await tryServer(context, restored, request);
  const done = steps.filter(({ outcome }) => outcome === 'done').map(({ message }) => message);
  return {
    server,
    serverMs: Math.round(context.clock.monotonic() - startMs),
    recovery: {
      type: 'repair',
      works: problems.length === 0,
      snapshot: null,
      message:
        problems.length === 0
          ? `a repair mends it: ${done.join('; ') || 'there is nothing to do'}`
          : `after a repair the server fails: ${problems.join('; ')}`,
    },
  };
}
