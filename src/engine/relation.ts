import type { LogView } from '../log/commit-log.ts';
import { knownFacts } from './lineage.ts';
import type { Lineage } from './lineage.ts';
import { planRestore } from './restore/plan-restore.ts';
import { isCommitDue } from './tips.ts';

/** How the local store relates to the newest snapshot. */
export type Relation =
  | 'no-store'
  | 'empty-remote'
  | 'up-to-date'
  /** Only the store may have moved since the newest snapshot. */
  | 'changed'
  /** A person restored another snapshot than the newest: the next backup commits the store as the newest. */
  | 'chosen'
  /** Only the remote moved. */
  | 'behind'
  | 'diverged'
  /** Nothing is recorded of the store, or the remote could not be asked. */
  | 'unknown'
  /** A replacement in place was interrupted; only a restore can finish it. */
  | 'incomplete';

/** Decides where the store stands in the log, as a restore does. A pure decision. */
export function relate(lineage: Lineage, view: LogView | undefined): Relation {
  if (!lineage.exists) return 'no-store';
  const snapshots = view?.snapshots.map(({ entry }) => entry) ?? [];
  const target = snapshots.at(-1);
  if (view !== undefined && target === undefined) return 'empty-remote';
  if (target === undefined) return 'unknown';
  if (view !== undefined && isCommitDue(view, lineage.state)) return 'chosen';
  if (lineage.parent === undefined) return 'unknown';
  const local = knownFacts(lineage, lineage.parent);
  switch (planRestore({ snapshots, target, local, isNamed: false, force: false }).type) {
    case 'equal':
      return 'up-to-date';
    case 'ahead':
      return 'changed';
    case 'restore':
      return 'behind';
    case 'diverged':
      return 'diverged';
  }
}
