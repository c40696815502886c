import { SyncAgentError } from '../errors.ts';
import { makeSnapshotId } from '../snapshot/layout.ts';
import { storeExists } from '../store/home.ts';
import { assertRollbackCopy } from '../store/rollback-copies.ts';
import { swapIn } from '../store/swap.ts';
import type { Context } from './context.ts';

export interface RollbackResult {
  readonly copy: string;
  /** Where the store that was replaced is kept now; undefined when there was none. */
  readonly rollbackCopy: string | undefined;
}

/**
 * Puts a rollback copy back in the store's place; the present store becomes a rollback copy in turn. Its lineage is
 * then unknown: the next command compares by content.
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
  const rollback = makeSnapshotId(clock.now(), clock.randomHex(4));
  await swapIn(fs, home, {
    from: { type: 'rollback', name: copy },
    rollback,
    keepRollback: true,
    rollbackCopies: Math.max(1, settings.rollbackCopies),
    location: context.remoteId,
    parent: null,
    settled: [],
    isCommitDue: false,
  });
  return { copy, rollbackCopy: exists ? rollback : undefined };
}
