import { unresolvedTips } from '../log/retention.ts';
import { isAncestor } from '../log/retention.ts';
import type { LogView } from '../log/commit-log.ts';
import { backup } from './backup/backup.ts';
import type { BackupOptions, BackupResult } from './backup/backup.ts';
import type { Context } from './context.ts';
import { readLineage, readRemote } from './lineage.ts';
import type { Lineage } from './lineage.ts';
import { restore } from './restore/restore.ts';
import type { RestoreOptions, RestoreResult } from './restore/restore.ts';

export type SyncOptions = BackupOptions & RestoreOptions;
export type SyncResult = BackupResult | RestoreResult;

/** One decision from lineage: only local moved, back up; only the remote moved, restore; neither, nothing; both, diverged. */
export async function sync(context: Context, options: SyncOptions = {}): Promise<SyncResult> {
  const view = await readRemote(context);
  const lineage = await readLineage(context, view);
  const direction = chooseDirection(view, lineage);
  switch (direction) {
    case 'backup':
      return backup(context, options);
    case 'restore':
      return restore(context, options);
    case 'diverged': {
      const tips = unresolvedTips(
        view.snapshots.map(({ entry }) => entry),
        view.head?.resolved ?? [],
      ).map((tip) => tip.id);
      context.emit({ type: 'diverged', tips });
      return {
        type: 'diverged',
        id: view.snapshots.at(-1)?.entry.id ?? '',
        why: 'the local store and the remote both moved',
        tips,
      };
    }
  }
}

function chooseDirection(view: LogView, lineage: Lineage): 'backup' | 'restore' | 'diverged' {
  const entries = view.snapshots.map(({ entry }) => entry);
  const newest = entries.at(-1);
  if (!lineage.exists) return 'restore';
  if (newest === undefined) return 'backup';
  if (lineage.parent === newest.id || lineage.state.settled.includes(newest.id)) return 'backup';
  if (lineage.isParentLost) return 'backup';
  // Of a store of unknown origin the restore finds out, by content.
  if (lineage.parent === undefined || lineage.isUnchanged) return 'restore';
  return isAncestor(entries, newest.id, lineage.parent) ? 'backup' : 'diverged';
}
