import type { LogView } from '../../log/commit-log.ts';
import type { LogEntry } from '../../log/manifest.ts';
import { unresolvedTips } from '../../log/retention.ts';
import type { RemoteState } from '../../home/state.ts';
import { isCommitDue, otherTips } from '../tips.ts';
import type { Context } from '../context.ts';
import { parentRef, recordRemoteState } from '../lineage.ts';
import type { Lineage } from '../lineage.ts';
import type { RestorePlan } from './plan-restore.ts';

/** A store that a restore found and did not replace. */
export type LeaveAloneResult =
  | { readonly type: 'equal'; readonly id: string }
  | { readonly type: 'ahead'; readonly id: string; readonly why: string }
  | {
      readonly type: 'diverged';
      readonly id: string;
      readonly why: string;
      readonly tips: readonly string[];
    };

export interface LeaveAloneWork {
  readonly view: LogView;
  readonly lineage: Lineage;
  readonly candidate: LogEntry;
  readonly plan: Exclude<RestorePlan, { type: 'restore' }>;
  /** A person named the candidate, which is recorded. */
  readonly isChosen: boolean;
  /** Of the store if it was compared by content; see `UnknownStore`. */
  readonly fingerprint: string | null | undefined;
}

/** Records the result of the comparison, and reports a divergence. */
export async function leaveAlone(context: Context, decision: LeaveAloneWork): Promise<LeaveAloneResult> {
  const { view, lineage, candidate, plan, isChosen, fingerprint } = decision;
  const { id } = candidate;
  switch (plan.type) {
    case 'equal':
      if (lineage.parent === undefined || isChosen) {
        await recordRemoteState(context, {
          ...lineage.state,
          settled: lineage.state.settled.filter((each) => each !== id),
          parent: parentRef(view, candidate),
          ...(fingerprint === undefined ? {} : { fingerprint }),
          ...(isChosen ? chosenState(view, lineage, candidate) : {}),
        });
      }
      return { type: 'equal', id };
    case 'ahead':
      return { type: 'ahead', id, why: plan.why };
    case 'diverged': {
      const entries = view.snapshots.map(({ entry }) => entry);
      const tips = unresolvedTips(entries, view.head?.resolved ?? []).map((tip) => tip.id);
      context.emit({ type: 'diverged', tips });
      return { type: 'diverged', id, why: plan.why, tips };
    }
  }
}

/** Without a fingerprint, the next backup asks the remote and finds that a commit is due. */
function chosenState(
  view: LogView,
  { state }: Lineage,
  { id }: LogEntry,
): Pick<RemoteState, 'settled' | 'fingerprint'> {
  const settled = [...otherTips(view, id)];
  return { settled, fingerprint: isCommitDue(view, { settled }) ? null : state.fingerprint };
}
