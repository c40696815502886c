import { makeSnapshotId } from '../../log/layout.ts';
import { hasRollbackCopy } from '../../home/rollback-copies.ts';
import { readState } from '../../home/state.ts';
import { swapIn } from '../../home/swap.ts';
import type { SwapRequest } from '../../home/swap.ts';
import { storeIdentity } from '../../stores/content/fingerprint.ts';
import { inPhase } from '../context.ts';
import type { Context } from '../context.ts';

/** What became of the new store. */
export interface Placed {
  /** Name of the copy of the store as it was. */
  readonly rollbackCopy: string | undefined;
}

export interface ContinuingSwap extends Pick<SwapRequest, 'keepRollback' | 'rollbackCopies'> {
  /** Its staged data is the new store: complete, checked and on disk. */
  readonly attempt: string;
}

/**
 * Puts a staged store in the place of the present one, and lets it continue that one: it has the same parents, and counts as written
 * since. For a crash see `SwapRequest`.
 */
export async function swapContinuing(
  context: Context,
  { attempt, ...kept }: ContinuingSwap,
): Promise<Placed> {
  const { home, fs, clock } = context;
  const rollback = makeSnapshotId(clock.now(), clock.randomHex(4));
  const lineage = await keptLineage(context);
  await inPhase(context, 'swap', () =>
    swapIn(fs, home, { from: { type: 'staging', name: attempt }, rollback, ...kept, ...lineage }),
  );
  return { rollbackCopy: (await hasRollbackCopy(home, rollback)) ? rollback : undefined };
}

/** Nothing is known of a store that somebody made anew. */
async function keptLineage({
  home,
  remoteId,
}: Context): Promise<Pick<SwapRequest, 'location' | 'parent' | 'settled' | 'isCommitDue' | 'continues'>> {
  const local = await readState(home);
  const isOurs = local !== undefined && local.identity === (await storeIdentity(home.store));
  const remotes = isOurs ? local.remotes : {};
  const { parent = null, settled = [] } = remotes[remoteId] ?? {};
  const continues = Object.fromEntries(
    Object.entries(remotes).map(([name, record]) => [
      name,
      {
        ...record,
        fingerprint: null,
        pending: record.pending === null ? null : { ...record.pending, fingerprint: null },
      },
    ]),
  );
  return { location: remoteId, parent, settled, isCommitDue: true, continues };
}
