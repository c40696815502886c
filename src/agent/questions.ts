import type { OperationsFor } from '../api/operations.ts';
import type { SnapshotSummary } from '../engine/history/history.ts';
import type { LocalStatus, LocalStatusOptions } from '../engine/local-status.ts';
import { longestTimerMs } from '../platform/clock.ts';
import type { Emit } from '../platform/events.ts';

/** What the agent asks for itself. These calls are no operations: they have no events of their own. */
export interface Questions {
  /** What this host has recorded of the store. Makes no request. */
  localStatus(signal: AbortSignal, options?: LocalStatusOptions): Promise<LocalStatus>;
  /** For the status only: if this fails a backup will fail too, and say why. */
  history(signal: AbortSignal): Promise<readonly SnapshotSummary[] | undefined>;
  /** Whether an earlier backup has saved the store as it is, answered within `leftMs`. Never rejects. */
  isInSnapshot(leftMs: number): Promise<boolean>;
}

export function questions(operationsFor: OperationsFor, { emit }: { readonly emit: Emit }): Questions {
  // Such a call leaves nothing to clean up when it is aborted.
  const abortGraceMs = 1000;
  return {
    localStatus: (signal, options) =>
      operationsFor({ abortGraceMs, emit }).localStatus({ ...options, signal }),
    history: (signal) =>
      operationsFor({ abortGraceMs })
        .list({ signal })
        .catch(() => undefined),
    isInSnapshot: async (leftMs) => {
      const status = await operationsFor({ abortGraceMs: 0 })
        .localStatus(leftMs < longestTimerMs ? { signal: AbortSignal.timeout(leftMs) } : {})
        .catch(() => undefined);
      return status?.isUnchanged === true;
    },
  };
}
