import { isDeepStrictEqual } from 'node:util';
import type { LogView } from '../log/commit-log.ts';
import type { LogEntry } from '../log/manifest.ts';
import { isAncestor, unresolvedTips } from '../log/retention.ts';
import { readState } from '../home/state.ts';
import type { LocalState } from '../home/state.ts';
import { backup } from './backup/backup.ts';
import type { BackupOptions, BackupResult } from './backup/backup.ts';
import type { Context } from './context.ts';
import { knownFacts, readLineage } from './lineage.ts';
import { readRemote } from './remote-log.ts';
import type { Lineage } from './lineage.ts';
import { relateToCandidate } from './restore/candidate-relation.ts';
import { planRestore } from './restore/plan-restore.ts';
import { restore } from './restore/restore.ts';
import type { RestoreOptions, RestoreResult } from './restore/restore.ts';

export type SyncOptions = BackupOptions & RestoreOptions;
export type SyncResult = BackupResult | RestoreResult;

export type SyncPlan = 'backup' | 'restore' | 'diverged';

/** Only the store has changed, or neither: a backup. Only the remote: a restore. Both: diverged. A pure decision. */
export function planSync(snapshots: readonly LogEntry[], lineage: Lineage): SyncPlan {
  const newest = snapshots.at(-1);
  if (!lineage.exists) return 'restore';
  if (newest === undefined) return 'backup';
  if (lineage.parent === newest.id || lineage.state.settled.includes(newest.id)) return 'backup';
  if (lineage.isParentLost) return 'backup';
  // Only the content tells where a store of unknown origin comes from, and the restore compares it.
  if (lineage.parent === undefined || lineage.isUnchanged) return 'restore';
  return isAncestor(snapshots, newest.id, lineage.parent) ? 'backup' : 'diverged';
}

/** A store that grew from the newest snapshot may be behind the log of that. */
async function planWithLog(context: Context, view: LogView, lineage: Lineage): Promise<SyncPlan> {
  const snapshots = entriesOf(view);
  const newest = snapshots.at(-1);
  const plan = planSync(snapshots, lineage);
  if (plan !== 'backup' || newest?.logged !== true || lineage.parent === undefined) return plan;
  if (lineage.state.settled.includes(newest.id)) return plan;
  const local = knownFacts(lineage, lineage.parent);
  const relation = await relateToCandidate(context, view, { candidate: newest, local });
  return relation === 'behind' ? 'restore' : relation === 'diverged' ? 'diverged' : plan;
}

/** What a sync is going to do, before it does anything. */
export interface ForeseenSync {
  readonly operation: 'backup' | 'restore';
  /** For `sync` to go on with; undefined when an interrupted restore has to be finished first. */
  readonly reading: RemoteReading | undefined;
}

/** The remote's log, and what this host had recorded when it was read. */
export interface RemoteReading {
  readonly view: LogView;
  readonly recorded: LocalState | undefined;
  /** Monotonic. */
  readonly readAtMs: number;
}

/** An older reading is not used, since other hosts commit too. */
const freshMs = 10_000;

/**
 * Backs up or restores, as planned, on one reading of the remote's log. `reading`: what `foreseeSync` has read. The plan
 * is made again here, under the store's lock: the store may have been written since.
 */
export async function sync(
  context: Context,
  { reading, ...options }: SyncOptions & { readonly reading?: RemoteReading | undefined } = {},
): Promise<SyncResult> {
  const isUsable = reading !== undefined && (await isCurrent(context, reading));
  const view = isUsable ? reading.view : await readRemote(context);
  const snapshots = entriesOf(view);
  const plan = await planWithLog(context, view, await readLineage(context, view));
  switch (plan) {
    case 'backup':
      return backup(context, { ...options, view });
    case 'restore':
      return restore(context, { ...options, view });
    case 'diverged': {
      const tips = unresolvedTips(snapshots, view.head?.resolved ?? []).map((tip) => tip.id);
      context.emit({ type: 'diverged', tips });
      const why = 'the local store and the remote both moved';
      return { type: 'diverged', id: snapshots.at(-1)?.id ?? '', why, tips };
    }
    default:
      return plan satisfies never;
  }
}

/** Which of the two a sync will be: `restore` when it will replace the store, else `backup`. */
export async function foreseeSync(context: Context, options: SyncOptions = {}): Promise<ForeseenSync> {
  const readAtMs = context.clock.monotonic();
  const view = await readRemote(context);
  const lineage = await readLineage(context, view);
  const isRestore =
    (await planWithLog(context, view, lineage)) === 'restore' &&
    (await willRestore(context, options, view, lineage));
  const recorded = await readState(context.home);
  return { operation: isRestore ? 'restore' : 'backup', reading: { view, recorded, readAtMs } };
}

/** Damage counts too, and the content of a store of unknown origin. So if lineage leaves it open, a dry run of the restore tells. */
async function willRestore(
  context: Context,
  options: RestoreOptions,
  view: LogView,
  lineage: Lineage,
): Promise<boolean> {
  const snapshots = entriesOf(view);
  const target = snapshots.at(-1);
  if (!lineage.exists || target === undefined) return true;
  if (lineage.parent !== undefined) {
    const local = knownFacts(lineage, lineage.parent);
    if (planRestore({ snapshots, target, local, isNamed: false, force: false }).type === 'restore')
      return true;
  }
  // The sync itself will emit what this finds.
  const silent = { ...context, emit: () => undefined };
  return (await restore(silent, { ...options, dryRun: true, view })).type === 'planned';
}

/** False after a backup or restore in between, by a hook for example: it recorded another parent, and the log went on. */
async function isCurrent({ home, clock }: Context, reading: RemoteReading): Promise<boolean> {
  if (clock.monotonic() - reading.readAtMs > freshMs) return false;
  return isDeepStrictEqual(await readState(home), reading.recorded);
}

const entriesOf = (view: LogView): readonly LogEntry[] => view.snapshots.map(({ entry }) => entry);
