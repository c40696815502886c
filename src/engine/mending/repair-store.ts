import { join } from 'node:path';
import { SyncAgentError } from '../../platform/errors.ts';
import { stagingRoot } from '../../home/home.ts';
import type { Problem } from '../../stores/adapter.ts';
import type { Permission, RepairPlan, WithheldStep } from '../../stores/mending.ts';
import { inPhase } from '../context.ts';
import type { Context } from '../context.ts';
import { lastKnownManifest } from '../known-manifests.ts';
import { adapterForCapture, databasesOf } from '../soundness/judge-store.ts';
import { lookAside } from './look-aside.ts';
import { placeMendedCopy } from './mended-copy.ts';
import { lookAtStopped } from './stopped-store.ts';
import { mendInPlace } from './mend-in-place.ts';
import type { RepairedStep } from './mend-in-place.ts';

export type { RepairedStep } from './mend-in-place.ts';

export interface StoreRepairOptions {
  /** Remove folders and rows that belong to no collection. */
  readonly orphans?: boolean;
  /** Go on without the records that nothing can bring back. They are in the result, and in the rollback copy. */
  readonly acceptLoss?: boolean;
  /** Say what would be done, and do nothing. */
  readonly dryRun?: boolean;
}

/** What became of the store. The result of `repairRemote` is another one: that is about the list of snapshots. */
export interface StoreRepairResult {
  /** `nothing-to-do`: no step is possible. It says nothing about soundness. */
  readonly type: 'nothing-to-do' | 'planned' | 'repaired' | 'failed';
  /** Whether the store is sound now, or, of a plan, will be. */
  readonly isSound: boolean;
  readonly steps: readonly RepairedStep[];
  /** What would be possible with a flag. */
  readonly withheld: readonly WithheldStep[];
  /** What is still wrong: damage, with what to do instead of a repair. */
  readonly left: readonly Problem[];
  /** What is still not as it should be, and puts no record at risk. */
  readonly findings: readonly Problem[];
  /** Of a plan: the rest shows only once indexes are whole. */
  readonly isPartial: boolean;
  readonly records: number;
  /** Name of the copy of the store as it was; undefined if nothing was replaced. */
  readonly rollbackCopy: string | undefined;
}

/**
 * Mends a store on a copy, and puts the copy in its place: see `placeMendedCopy`. What cannot be mended stays as it is, and is
 * told. The caller holds the store's lock, and has finished an interrupted restore.
 */
export async function repairStore(
  context: Context,
  { orphans = false, acceptLoss = false, dryRun = false }: StoreRepairOptions = {},
): Promise<StoreRepairResult> {
  const { home, signal } = context;
  const stopped = await lookAtStopped(context, 'repair');
  const known = await lastKnownManifest(context);
  const adapter = await adapterForCapture(context, known);
  const { name, mending, reading } = adapter;
  if (mending === undefined) {
    throw new SyncAgentError(
      'USAGE',
      `Cannot repair "${home.store}": nobody knows how to mend a store of the kind "${name}"`,
      {
        remedy: '"sync-agent restore --force" brings the newest snapshot back',
      },
    );
  }
  const allowed: Permission[] = [
    ...(orphans ? (['orphans'] as const) : []),
    ...(acceptLoss ? (['accept-loss'] as const) : []),
  ];
  const scratch = join(stagingRoot(home), 'scratch');
  const databases = databasesOf(context, known);
  const look = (dir: string): Promise<RepairPlan> =>
    inPhase(context, 'validate', async () => {
      try {
        return await mending.planRepair(dir, { allowed, scratch, databases, exclude: home.exclude, signal });
      } finally {
        await context.fs.remove(scratch);
      }
    });
  const plan = await lookAside(context, stopped, adapter, async (dir) => {
    await reading?.assertKnown(dir, { scratch });
    return look(dir);
  });
  if (plan.steps.length === 0) return { ...outcome(plan, []), type: 'nothing-to-do' };
  const planned = plan.steps.map((step) => ({ ...step, outcome: 'planned' as const }));
  if (dryRun) return { ...outcome(plan, planned), type: 'planned' };

  let last = plan;
  let steps: readonly RepairedStep[] = [];
  const work = async (dir: string): Promise<boolean> => {
    ({ last, steps } = await mendInPlace(context, mending, { dir, plan, look }));
    assertNothingLost(context, plan, last, steps);
    return steps.some((step) => step.outcome === 'done');
  };
  // The damaged store may be the only copy of the last writes.
  const rollbackCopies = Math.max(1, context.settings.rollbackCopies);
  const placed = await placeMendedCopy(context, stopped, { rollbackCopies, work });
  if (placed === undefined) return { ...outcome(plan, steps), type: 'failed' };
  return { ...outcome(last, steps), type: 'repaired', rollbackCopy: placed.rollbackCopy };
}

/** Steps say what they lose. A store that has fewer records all the same is not put in the place of the old one. */
function assertNothingLost(
  { home }: Context,
  before: RepairPlan,
  after: RepairPlan,
  steps: readonly RepairedStep[],
): void {
  const told = steps.reduce((sum, step) => sum + (step.outcome === 'done' ? step.losses.length : 0), 0);
  if (after.records >= before.records - told) return;
  throw new SyncAgentError(
    'INTERNAL',
    `Cannot repair "${home.store}": the mended copy has ${after.records} records instead of ${before.records - told}, and the store is as it was`,
  );
}

function outcome(
  { damage, findings, withheld, left, isPartial, records, steps: due }: RepairPlan,
  steps: readonly RepairedStep[],
): Omit<StoreRepairResult, 'type'> {
  const isPlan = steps.some((step) => step.outcome === 'planned');
  const mended = (problem: Problem): boolean =>
    isPlan && due.some(({ where, target }) => where === problem.where || target === problem.collection);
  const known = [
    ...left,
    ...damage.filter((problem) => !left.some(({ message }) => message === problem.message)),
  ];
  const still = known.filter((problem) => !mended(problem));
  return {
    isSound: still.length === 0,
    steps,
    withheld,
    left: still,
    findings: findings.filter((problem) => !mended(problem)),
    isPartial,
    records,
    rollbackCopy: undefined,
  };
}
