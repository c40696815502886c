import type { LogView } from '../../log/commit-log.ts';
import { epochOf } from '../../log/precedence.ts';
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
 * The parent, if its log has writes that this image does not have. They are in no snapshot, and the new one would make them look
 * superseded. From here on nobody can add to it.
 */
export async function leftBehind(
  context: Context,
  { view, lineage, dir, epoch, handedOver: { position, continues } }: LeftWork,
  next: Pick<StagedContent, 'createOnly'> & { readonly id: string },
): Promise<LeftBehind | undefined> {
  // The follower ends the log of the parent itself, once the commit is there.
  if (position !== undefined && continues === lineage.parent) return undefined;
  const entry = view.snapshots.find(({ entry: { id } }) => id === lineage.parent)?.entry;
  if (entry?.logged !== true) return undefined;
  const manifest = await manifestIfReadable(context, view, entry);
  // A host that lost its lease leaves it to the one that has it.
  const isFenced = epoch !== undefined && epochOf(entry) > epoch;
  if (manifest !== undefined && !isFenced)
    await sealLog(context, manifest, next.id, { isConditional: next.createOnly !== 'rejected' });
  const relation = manifest && (await relateToLog(context, manifest, dir));
  if (relation?.type !== 'behind' && relation?.type !== 'diverged') return undefined;
  return { snapshot: entry.id, whose: (await endsInOwn(context, entry.id)) ? 'own' : 'of another host' };
}
