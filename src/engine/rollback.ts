import { SyncAgentError } from '../errors.ts';
import { makeSnapshotId } from '../snapshot/layout.ts';
import { storeIdentity } from '../store/fingerprint.ts';
import { storeExists } from '../store/home.ts';
import { assertRollbackCopy } from '../store/rollback-copies.ts';
import { readState } from '../store/state.ts';
import { swapIn } from '../store/swap.ts';
import type { Context } from './context.ts';

export interface RollbackResult {
  readonly copy: string;
  /** Where the store that was replaced is kept now; undefined when there was none. */
  readonly rollbackCopy: string | undefined;
}

/**
 * Puts a rollback copy back in the store's place; the present store becomes a rollback copy in turn. Its lineage is
 * then unknown, and it was chosen over the snapshot that was restored: the next restore leaves it alone, and the next
 * backup makes it the newest.
 */
export async function rollBack(
  context: Context,
  copy: string,
  options: { readonly force?: boolean } = {},
): Promise<RollbackResult> {
  const { home, fs, clock, settings } = context;
  await assertRollbackCopy(home, copy);
  const users = await context.findStoreUsers(home.store);
  if (users.length > 0 && options.force !== true) {
    throw new SyncAgentError(
      'BUSY',
      `Cannot roll back "${home.store}": pid ${users.map((user) => user.pid).join(', ')} has it open`,
      {
        remedy: 'Stop it first',
      },
    );
  }
  const exists = await storeExists(home);
  const settled = await givenUp(context, exists);
  const rollback = makeSnapshotId(clock.now(), clock.randomHex(4));
  await swapIn(fs, home, {
    from: { type: 'rollback', name: copy },
    rollback,
    keepRollback: true,
    rollbackCopies: Math.max(1, settings.rollbackCopies),
    location: context.remoteId,
    parent: null,
    settled: [...settled],
    isCommitDue: settled.length > 0,
  });
  return { copy, rollbackCopy: exists ? rollback : undefined };
}

/** The snapshot that the present store was restored from, or backed up as, and those that it was chosen over. */
async function givenUp({ home, remoteId }: Context, exists: boolean): Promise<readonly string[]> {
  const local = await readState(home);
  if (exists && local?.identity !== (await storeIdentity(home.store))) return [];
  const recorded = local?.remotes[remoteId];
  return [...(recorded?.parent == null ? [] : [recorded.parent.id]), ...(recorded?.settled ?? [])];
}
