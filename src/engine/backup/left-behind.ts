import type { LogView } from '../../log/commit-log.ts';
import { epochOf } from '../../log/precedence.ts';
import { relateToLog } from '../continuous/log-relation.ts';
import { sealLog, warnOfLeftLog } from '../continuous/seal-log.ts';
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
  /** The snapshot behind which the follower of this store has written until now. */
  readonly continues: string | null;
}

/**
 * The parent, if its log has writes that this store does not have: another host went on from it. They are in no snapshot, and the new
 * one would make them look superseded.
 */
export async function leftBehind(
  context: Context,
  { view, lineage, dir, epoch, continues }: LeftWork,
  next: Pick<StagedContent, 'createOnly'> & { readonly id: string },
): Promise<string | undefined> {
  // The follower ends the log of the parent itself, once the commit is there.
  if (continues === lineage.parent) return undefined;
  const entry = view.snapshots.find(({ entry: { id } }) => id === lineage.parent)?.entry;
  if (entry?.logged !== true) return undefined;
  const manifest = await manifestIfReadable(context, view, entry);
  // From here on nobody can add to it. A host that lost its lease leaves it to the one that has it.
  const isFenced = epoch !== undefined && epochOf(entry) > epoch;
  if (manifest !== undefined && !isFenced)
    await sealLog(context, manifest, next.id, { isConditional: next.createOnly !== 'rejected' });
  const relation = manifest && (await relateToLog(context, manifest, dir));
  if (relation?.type !== 'behind' && relation?.type !== 'diverged') return undefined;
  warnOfLeftLog(context, entry.id);
  return entry.id;
}
