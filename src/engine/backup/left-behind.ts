import type { LogView } from '../../log/commit-log.ts';
import type { LogEntry } from '../../log/manifest.ts';
import { epochOf, outrankingAncestor } from '../../log/precedence.ts';
import type { HandedOver } from '../continuous/hand-over.ts';
import { endsInOwn, relateToLog } from '../continuous/log-relation.ts';
import { sealLog } from '../continuous/seal-log.ts';
import type { Context } from '../context.ts';
import type { Lineage } from '../lineage.ts';
import { manifestIfReadable } from '../remote-log.ts';
import type { StagedContent } from './stage-content.ts';

export interface LeftWork {
  readonly view: LogView;
  readonly lineage: Lineage;
  /** The image. */
  readonly dir: string;
  /** Of the lease that this host has, or had. */
  readonly epoch: number | undefined;
  readonly handedOver: HandedOver;
}

/** `own`: of this host, whose follower has saved them since the image was taken. Another image has them. */
export interface LeftBehind {
  readonly snapshot: string;
  readonly whose: 'own' | 'of another host';
}

/**
 * Snapshots whose logs have writes that this image does not have. They are in no snapshot, and the new one would make them look
 * superseded. From here on nobody can add to them.
 */
export async function leftBehind(
  context: Context,
  work: LeftWork,
  next: Pick<StagedContent, 'createOnly'> & { readonly id: string },
): Promise<readonly LeftBehind[]> {
  const left: LeftBehind[] = [];
  for (const entry of logsLeft(work)) {
    const manifest = await manifestIfReadable(context, work.view, entry);
    if (manifest !== undefined && !isFenced(entry, work))
      await sealLog(context, manifest, next.id, { isConditional: next.createOnly !== 'rejected' });
    const relation = manifest && (await relateToLog(context, manifest, work.dir));
    if (relation?.type !== 'behind' && relation?.type !== 'diverged') continue;
    const isOwn = await endsInOwn(context, entry.id);
    left.push({ snapshot: entry.id, whose: isOwn ? 'own' : 'of another host' });
  }
  return left;
}

/** The parent, and a snapshot before it that counts more: another host may have taken up the log of either. */
function logsLeft(work: LeftWork): readonly LogEntry[] {
  const { lineage, view, handedOver } = work;
  const entries = view.snapshots.map(({ entry }) => entry);
  const parent = entries.find(({ id }) => id === lineage.parent);
  const before = parent && outrankingAncestor(entries, parent.id);
  // The follower ends the log of the parent itself, once the commit is there.
  const isFollowed = handedOver.position !== undefined && handedOver.continues === lineage.parent;
  // What counts more than this commit, too, is not superseded, and somebody chose against what is settled.
  const isHidden =
    before !== undefined && !isFenced(before, work) && !lineage.state.settled.includes(before.id);
  return [...(parent === undefined || isFollowed ? [] : [parent]), ...(isHidden ? [before] : [])].filter(
    ({ logged }) => logged === true,
  );
}

/** A host that lost its lease leaves a log to the one that has it. */
const isFenced = (entry: LogEntry, { epoch }: LeftWork): boolean =>
  epoch !== undefined && epochOf(entry) > epoch;
