import { SyncAgentError } from '../../platform/errors.ts';
import { backup } from '../backup/backup.ts';
import type { Context } from '../context.ts';
import { lookAtStore } from '../local-status.ts';

/** The snapshot that the store equals, made now if there is none. A store that was written a moment ago may need two looks. */
export async function snapshotOfStore(context: Context, action: string): Promise<string> {
  for (let tries = 1; ; tries++) {
    const { parent, isUnchanged } = await lookAtStore(context);
    if (isUnchanged && parent !== undefined) return parent;
    if (tries === 3) break;
    await backup(context);
  }
  throw new SyncAgentError('BUSY', `Cannot ${action} "${context.home.store}": somebody writes to it`, {
    remedy: 'Stop it first',
  });
}
