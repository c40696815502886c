import { readLog } from '../../log/commit-log.ts';
import { probeCreateOnly } from '../../log/create-only.ts';
import { makeSnapshotId } from '../../log/layout.ts';
import { labelOf, pinsOf } from '../../log/manifest.ts';
import { SyncAgentError } from '../../platform/errors.ts';
import { inPhase, progressOf } from '../context.ts';
import type { Context } from '../context.ts';
import { recommit } from '../history/recommit.ts';
import { withScratch } from '../reading/store-source.ts';
import { readRemote, warnOfDamage } from '../remote-log.ts';
import { copySnapshot } from './copy-snapshot.ts';
import type { CopiedSnapshot } from './copy-snapshot.ts';
import { planCopy } from './plan-copy.ts';
import type { CopyPlan } from './plan-copy.ts';

export interface CopyOptions {
  /** Every snapshot of the remote; default: the newest. */
  readonly all?: boolean | undefined;
  /** Copies beside snapshots of the target that the remote knows nothing of. */
  readonly force?: boolean | undefined;
}

export interface CopyResult {
  readonly type: 'copied' | 'nothing-to-do';
  /** The target, without a credential. */
  readonly to: string;
  /** Of the source: the target has it now. */
  readonly newest: string;
  readonly snapshots: readonly CopiedSnapshot[];
  /** Sent from here. */
  readonly sentBytes: number;
}

/**
 * Copies snapshots of the context's remote to another one, with their ids and their lineage. What the target has is not sent again. A crash, at
 * any moment, leaves a target in which each snapshot is whole: see `copySnapshot`. The target's own retention rule is applied at the end.
 * REFUSED if its newest snapshot is none of the source's.
 */
export async function copySnapshots(
  source: Context,
  target: Context,
  { all = false, force = false }: CopyOptions = {},
): Promise<CopyResult> {
  if (source.remoteId === target.remoteId) {
    throw new SyncAgentError('USAGE', `Cannot copy ${source.remote.location} to itself`, {
      remedy: 'Name another remote',
    });
  }
  const view = await readRemote(source);
  warnOfDamage(source, view);
  const newest = view.snapshots.at(-1)?.entry.id;
  if (newest === undefined) {
    throw new SyncAgentError('NOT_FOUND', `Cannot copy: ${source.remote.location} holds no snapshot`, {
      remedy: 'Run "sync-agent backup" first',
    });
  }
  const there = await readLog(target, { signal: target.signal });
  const plan = planCopy({
    from: labelOf(source.remoteId),
    source: view.snapshots.map(({ entry }) => entry),
    target: there.snapshots.map(({ entry }) => entry),
    resolved: view.head?.resolved ?? [],
    all,
    force,
    policy: target.settings,
    pinned: [...pinsOf(there.head, there.serverTime).keys()],
    nowMs: target.clock.now(),
  });
  if (plan.type === 'refuse') throw refused(source, target, plan.unknown);
  const snapshots = plan.steps.length === 0 ? [] : await carryOut(source, target, { view, plan });
  return {
    type: snapshots.length === 0 ? 'nothing-to-do' : 'copied',
    to: target.remote.location,
    newest,
    snapshots,
    sentBytes: snapshots.reduce((sum, { sentBytes }) => sum + sentBytes, 0),
  };
}

async function carryOut(
  source: Context,
  target: Context,
  {
    view,
    plan,
  }: {
    readonly view: Awaited<ReturnType<typeof readRemote>>;
    readonly plan: Extract<CopyPlan, { type: 'copy' }>;
  },
): Promise<readonly CopiedSnapshot[]> {
  const { clock, signal, settings } = target;
  const { steps, settle, raise } = plan;
  return inPhase(source, 'copy', async () => {
    if (raise !== undefined) await raiseNewest(target, raise);
    const createOnly = await probeCreateOnly(target.remote, makeSnapshotId(clock.now(), clock.randomHex(4)), {
      graceMs: settings.graceMs,
      signal,
    });
    const onBytes = progressOf(
      source,
      'copy',
      steps.reduce((sum, { entry }) => sum + entry.bytes, 0),
    );
    const copied: CopiedSnapshot[] = [];
    await withScratch(source.home, async (scratch) => {
      for (const [index, step] of steps.entries()) {
        const done = await copySnapshot({
          source,
          view,
          target,
          createOnly,
          from: labelOf(source.remoteId),
          step,
          settle,
          isLast: index === steps.length - 1,
          scratch,
          onBytes,
        });
        if (done !== undefined) copied.push(done);
      }
    });
    return copied;
  });
}

/** The newest snapshot of the target stays the newest, whatever older one comes after it. */
async function raiseNewest(target: Context, epoch: number): Promise<void> {
  const view = await readLog(target, { signal: target.signal });
  await recommit(target, view, { epoch });
}

function refused(source: Context, target: Context, unknown: string): SyncAgentError {
  return new SyncAgentError(
    'REFUSED',
    `Cannot copy to ${target.remote.location}: its newest snapshot ${unknown} is none of ${source.remote.location}, nor a copy from there`,
    {
      remedy:
        'Name a new prefix. --force copies beside it: the copies become the newest there, and what is there stays as another tip',
    },
  );
}
