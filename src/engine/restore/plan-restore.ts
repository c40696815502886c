import type { LogRelation } from '../continuous/log-relation.ts';
import type { LogEntry } from '../../log/manifest.ts';
import { isAncestor } from '../../log/retention.ts';

export interface RestoreFacts {
  /** Live snapshots, ascending. */
  readonly snapshots: readonly LogEntry[];
  /** The snapshot to restore, perhaps. */
  readonly target: LogEntry;
  readonly local:
    | { readonly type: 'missing' }
    /** The store grew from `parent`. `isUnchanged`: nothing was written since. */
    | {
        readonly type: 'known';
        readonly parent: string;
        /** Of the parent's commit; undefined if it is not recorded. */
        readonly parentGeneration: number | undefined;
        /** The parent grew from the newest snapshot, and the parent's commit was lost. */
        readonly isParentLost: boolean;
        readonly isUnchanged: boolean;
        /** Snapshots that the store was chosen over. */
        readonly settled: readonly string[];
      }
    /** No record says where the store comes from. Its content decides. */
    | {
        readonly type: 'unknown';
        /** A live snapshot with the same content. */
        readonly equals: string | undefined;
        /** It holds nothing that could be lost. */
        readonly isEmpty: boolean;
        readonly settled: readonly string[];
      };
  /** How a store that grew from the target relates to the target's log. Absent if there is none. */
  readonly log?: LogRelation['type'] | undefined;
  /** The user asked for this snapshot by name. */
  readonly isNamed: boolean;
  readonly force: boolean;
}

export type RestorePlan =
  | { readonly type: 'restore'; readonly why: string }
  | { readonly type: 'equal' }
  /** The local store has changes that no snapshot has, and the target is older. */
  | { readonly type: 'ahead'; readonly why: string }
  /** Both changed since they were equal: a person has to decide. */
  | { readonly type: 'diverged'; readonly why: string };

/** Decides whether the target replaces the local store, by lineage and content and no clock. Pure. */
export function planRestore(facts: RestoreFacts): RestorePlan {
  const { local, target, log } = facts;
  if (local.type === 'missing') return { type: 'restore', why: 'there is no local store' };
  const equalTo = local.type === 'unknown' ? local.equals : local.isUnchanged ? local.parent : undefined;
  const isAtTarget = log === undefined ? equalTo === target.id : log === 'equal';
  if (isAtTarget) return { type: 'equal' };
  if (facts.isNamed) return { type: 'restore', why: 'it was asked for by name' };
  if (facts.force) return { type: 'restore', why: '--force was given' };
  if (local.settled.includes(target.id)) {
    const chosen = local.type === 'known' ? `snapshot ${local.parent}` : 'this store';
    return { type: 'ahead', why: `${chosen} was chosen over it` };
  }
  if (local.type === 'known' && local.isParentLost) {
    return { type: 'ahead', why: `it grew from snapshot ${local.parent}, whose commit the remote has lost` };
  }
  if (log === 'behind')
    return {
      type: 'restore',
      why: `all that it holds is in the log that snapshot ${target.id} goes on with`,
    };
  if (log === 'diverged')
    return {
      type: 'diverged',
      why: `it and the log of snapshot ${target.id} went on from the same position`,
    };
  if (log === undefined && equalTo !== undefined) return planFromCleanStore(facts, equalTo);
  if (local.type === 'unknown') {
    if (local.isEmpty) return { type: 'restore', why: 'the local store is empty' };
    return {
      type: 'diverged',
      why: 'no record says where the store comes from, and its content equals no snapshot',
    };
  }
  if (isAncestor(facts.snapshots, target.id, local.parent)) {
    return { type: 'ahead', why: `it was written since snapshot ${local.parent}` };
  }
  return {
    type: 'diverged',
    why: `it was written since snapshot ${local.parent}, and ${target.id} was made elsewhere`,
  };
}

/** For a store that equals snapshot `equalTo`: replacing it loses nothing. */
function planFromCleanStore(facts: RestoreFacts, equalTo: string): RestorePlan {
  const { snapshots, target } = facts;
  if (isAncestor(snapshots, target.id, equalTo))
    return { type: 'ahead', why: `it equals the newer snapshot ${equalTo}` };
  const isLive = snapshots.some((entry) => entry.id === equalTo);
  if (isAncestor(snapshots, equalTo, target.id))
    return { type: 'restore', why: `the store still equals its ancestor ${equalTo}` };
  if (!isLive) return planFromLostSnapshot(facts, equalTo);
  return {
    type: 'diverged',
    why: `the store equals snapshot ${equalTo}, which ${target.id} does not build on`,
  };
}

/** Rotation drops superseded snapshots. But a log that ends before the parent's commit is another log. */
function planFromLostSnapshot({ local, target }: RestoreFacts, equalTo: string): RestorePlan {
  const generation = local.type === 'known' ? local.parentGeneration : undefined;
  if (generation !== undefined && target.generation <= generation) {
    return {
      type: 'diverged',
      why: `the store equals snapshot ${equalTo}, which this remote does not hold, and ${target.id} is no newer`,
    };
  }
  return { type: 'restore', why: `the store equals snapshot ${equalTo}, long superseded` };
}
