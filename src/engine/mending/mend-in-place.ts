import { isSyncAgentError, throwIfAborted } from '../../platform/errors.ts';
import type { RepairPlan, RepairStep, StoreMending } from '../../stores/mending.ts';
import { inPhase } from '../context.ts';
import type { Context } from '../context.ts';

export interface RepairedStep extends RepairStep {
  readonly outcome: 'planned' | 'done' | 'failed';
  /** Why it failed: a sentence without a final period. */
  readonly why?: string;
}

export interface MendRequest {
  /** A copy that is nobody else's. */
  readonly dir: string;
  readonly plan: RepairPlan;
  /** Makes the plan anew. */
  readonly look: (dir: string) => Promise<RepairPlan>;
}

export interface Mended {
  /** What is wrong now. */
  readonly last: RepairPlan;
  readonly steps: readonly RepairedStep[];
}

/** A store whose indexes are broken shows the rest only when they are whole: another look, and another. */
const mostLooks = 4;

/** Carries out all steps of a repair that need no permission, on the copy. A step that fails is part of the result. */
export async function mendInPlace(
  context: Context,
  mending: StoreMending,
  { dir, plan, look }: MendRequest,
): Promise<Mended> {
  let last = plan;
  const steps: RepairedStep[] = [];
  for (let looks = 1; looks < mostLooks; looks++) {
    const due = last.steps.filter((step) => !steps.some((done) => isSame(done, step)));
    if (due.length === 0) break;
    for (const step of due) steps.push(await carryOut(context, mending, dir, step));
    last = await look(dir);
  }
  return { last, steps };
}

async function carryOut(
  context: Context,
  mending: StoreMending,
  dir: string,
  step: RepairStep,
): Promise<RepairedStep> {
  const { signal } = context;
  throwIfAborted(signal, 'Repair');
  try {
    await inPhase(context, 'mend', () => mending.repair(dir, step, { signal }));
    return { ...step, outcome: 'done' };
  } catch (error) {
    if (!isSyncAgentError(error, 'STORE_CORRUPT')) throw error;
    return { ...step, outcome: 'failed', why: error.message };
  }
}

const isSame = (a: RepairStep, b: RepairStep): boolean => a.type === b.type && a.target === b.target;
