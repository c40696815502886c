import type { Agent } from '../in-process/agent.ts';
import type { BackupOptions, BackupResult } from '../engine/backup/backup.ts';
import type { SnapshotSummary } from '../engine/history/history.ts';

/** One turn of a scheduler: a backup, and the history after it if the remote was asked at all. */
export type BackupTurn = (
  options: BackupOptions & { readonly signal?: AbortSignal | undefined },
) => Promise<BackupTurnResult>;

export interface BackupTurnResult {
  readonly result: BackupResult;
  readonly history: readonly SnapshotSummary[] | undefined;
}

export function backupTurn(agent: Agent): BackupTurn {
  return async (options) => {
    const result = await agent.backup(options);
    if (agent.requests() === 0) return { result, history: undefined };
    // The snapshot exists; a picture of the history is not worth a failure.
    const history = await agent.list({ signal: options.signal }).catch(() => undefined);
    return { result, history };
  };
}
