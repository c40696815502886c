import { join } from 'node:path';
import { SyncAgentError } from '../../platform/errors.ts';
import { makeSnapshotId } from '../../log/layout.ts';
import { storeIdentity } from '../../stores/content/fingerprint.ts';
import { rollbackRoot, storeExists } from '../../home/home.ts';
import { assertRollbackCopy, hasRollbackCopy } from '../../home/rollback-copies.ts';
import { scanStore } from '../../stores/content/scan.ts';
import { readState } from '../../home/state.ts';
import { swapIn } from '../../home/swap.ts';
import type { Context } from '../context.ts';
import { knownParent } from '../known-manifests.ts';
import { inspectAsItLies, startLevel } from '../soundness/judge-store.ts';
import { messagesOf } from '../soundness/soundness.ts';

export interface RollbackResult {
  readonly copy: string;
  /** Name of the copy of the replaced store; undefined if there was none. */
  readonly rollbackCopy: string | undefined;
}

/**
 * Replaces the store by a rollback copy, and keeps the present store as a rollback copy. The lineage is then unknown, and
 * the copy counts as chosen over the restored snapshot: the next restore leaves it alone, and the next backup makes it the
 * newest.
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
  await assertCopySound(context, copy, options.force ?? false);
  const settled = await givenUp(context);
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
  return { copy, rollbackCopy: (await hasRollbackCopy(home, rollback)) ? rollback : undefined };
}

/** A rollback copy may be a damaged store. Rejects with STORE_CORRUPT; with `force`, it only warns. */
async function assertCopySound(context: Context, copy: string, force: boolean): Promise<void> {
  const dir = join(rollbackRoot(context.home), copy);
  const { files, oddities } = await scanStore(dir);
  // Opening a FIFO would block for ever.
  if (oddities.length > 0) return;
  const recorded = await knownParent(context);
  const isLikeIt = recorded?.databases?.some((path) => files.some((file) => file.path === path)) === true;
  const looked = await inspectAsItLies(context, dir, {
    parent: isLikeIt ? recorded : undefined,
    level: startLevel(context),
  });
  if (looked.damage.length === 0) return;
  const damage = messagesOf(looked.damage);
  if (!force) {
    throw new SyncAgentError('STORE_CORRUPT', `Cannot roll back to "${copy}": it is damaged: ${damage}`, {
      remedy: '--force puts it back all the same; the present store is kept as a rollback copy',
    });
  }
  const message = `The store that is put back is damaged: ${damage}`;
  context.emit({ type: 'warning', code: 'STORE_CORRUPT', message });
}

/** The snapshot that the present store was restored from, or backed up as, and those that it was chosen over. */
async function givenUp({ home, remoteId }: Context): Promise<readonly string[]> {
  const local = await readState(home);
  if ((await storeExists(home)) && local?.identity !== (await storeIdentity(home.store))) return [];
  const recorded = local?.remotes[remoteId];
  return [...(recorded?.parent == null ? [] : [recorded.parent.id]), ...(recorded?.settled ?? [])];
}
