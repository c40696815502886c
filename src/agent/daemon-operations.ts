import type { BackupOptions, BackupResult } from '../engine/backup/backup.ts';
import type { SnapshotSummary } from '../engine/history/history.ts';
import type { AcquireOptions, Lease, ReleaseResult, RenewResult } from '../engine/lease/lease.ts';
import type { LocalLook } from '../engine/look.ts';
import type { RestoreOptions, RestoreResult } from '../engine/restore/restore.ts';
import type { WaitOptions, WaitResult } from '../engine/lease/wait-for-lease.ts';
import type { SyncOptions, SyncResult } from '../engine/sync.ts';
import type { Emit, RequestCounts } from '../platform/events.ts';

interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

/** What the daemon has done by others, each call apart from its own process. */
export interface DaemonOperations {
  look(options?: CallOptions): Promise<LocalLook>;
  list(options?: CallOptions): Promise<readonly SnapshotSummary[]>;
  backupTurn(options: BackupOptions & CallOptions): Promise<{
    readonly result: BackupResult;
    readonly history: readonly SnapshotSummary[] | undefined;
  }>;
  backup(options?: BackupOptions & CallOptions): Promise<BackupResult>;
  restore(options?: Omit<RestoreOptions, 'interrupted'> & CallOptions): Promise<RestoreResult>;
  acquireLease(options?: Partial<AcquireOptions> & CallOptions): Promise<Lease>;
  renewLease(lease: Lease, options?: CallOptions): Promise<RenewResult>;
  releaseLease(lease: Lease, options?: CallOptions): Promise<ReleaseResult>;
  waitForLease(options: WaitOptions & CallOptions): Promise<WaitResult>;
  sync(options?: Omit<SyncOptions, 'interrupted'> & CallOptions): Promise<SyncResult>;
}

/** Operations whose events and costs are told to one observer. */
export type OperationsFor = (observer: {
  readonly emit: Emit;
  readonly onRequests: (requests: RequestCounts) => void;
  /** What an aborted call gets to clean up, milliseconds. */
  readonly abortGraceMs?: number;
}) => DaemonOperations;
