import type { BackupOptions, BackupResult } from '../engine/backup/backup.ts';
import type { SnapshotSummary } from '../engine/history/history.ts';
import type { Emit, RequestCounts } from '../platform/events.ts';
import type { Agent, CallOptions } from './agent.ts';

/** The calls of an agent that can be made from another process: plain data goes in and comes out. */
export interface Operations extends Omit<Agent, 'foreseeSync' | 'requests' | 'counts' | 'close'> {
  /** A backup, and the history after it: undefined when the backup made no request, or the history cannot be read. */
  readonly backUpAndList: (options: BackupOptions & CallOptions) => Promise<BackupAndHistory>;
}

export interface BackupAndHistory {
  readonly result: BackupResult;
  readonly history: readonly SnapshotSummary[] | undefined;
}

/** Operations that tell one observer their events and costs. */
export type OperationsFor = (observer: OperationObserver) => Operations;

export interface OperationObserver {
  readonly emit?: Emit;
  /** Called after each call, whether it succeeded or failed. */
  readonly onRequests?: (requests: RequestCounts) => void;
  /** What an aborted call gets to clean up before it is killed, milliseconds; default 10 s. */
  readonly abortGraceMs?: number;
  /** The program that asks, for the operation log. Default: the script that this process runs. */
  readonly program?: string;
}
