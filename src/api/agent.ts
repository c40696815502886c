import type { BackupOptions, BackupResult } from '../engine/backup/backup.ts';
import type { DoctorReport } from '../engine/doctor/doctor.ts';
import type { ShownSnapshot, SnapshotDiff, SnapshotSummary } from '../engine/history/history.ts';
import type { PinOptions, PinResult } from '../engine/history/pin.ts';
import type { PruneOptions, PruneResult } from '../engine/history/prune.ts';
import type { VerifyOptions, VerifyReport } from '../engine/history/verify.ts';
import type { AcquireOptions, Lease, ReleaseResult, RenewResult } from '../engine/lease/lease.ts';
import type { WaitOptions, WaitResult } from '../engine/lease/wait-for-lease.ts';
import type { LocalStatus } from '../engine/local-status.ts';
import type { RepairResult } from '../engine/repair/repair-remote.ts';
import type { RestoreToResult } from '../engine/restore/restore-to.ts';
import type { RestoreOptions, RestoreResult } from '../engine/restore/restore.ts';
import type { RollbackResult } from '../engine/restore/rollback.ts';
import type { StatusReport } from '../engine/status.ts';
import type { ForeseenSync, SyncOptions, SyncResult } from '../engine/sync.ts';
import type { RollbackCopy } from '../home/rollback-copies.ts';
import type { RequestCounts } from '../platform/events.ts';
import type { StatusFile } from './daemon-status.ts';

export interface CallOptions {
  /** Aborts the call, which then rejects with INTERRUPTED once it has cleaned up. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Each call that writes locally holds the store's lock, or rejects with BUSY after `settings.lockWaitMs`, and first finishes
 * what an interrupted run left.
 */
export interface Agent {
  /** Makes one snapshot if anything changed. REFUSED where it would put good data at risk, NOT_FOUND without a store. */
  backup(options?: BackupOptions & CallOptions): Promise<BackupResult>;
  /** Puts the newest snapshot in the place of the store if that loses nothing. A divergence is a result, not an error. */
  restore(options?: Omit<RestoreOptions, 'interrupted'> & CallOptions): Promise<RestoreResult>;
  /** Puts a snapshot into a new directory. The store is not touched. */
  restoreTo(dir: string, options?: { readonly snapshot?: string } & CallOptions): Promise<RestoreToResult>;
  /** Backs up or restores, whichever side alone has moved. */
  sync(
    options?: Omit<SyncOptions, 'interrupted'> & Partial<Pick<ForeseenSync, 'reading'>> & CallOptions,
  ): Promise<SyncResult>;
  /**
   * Which of the two a sync will be, without doing it: `sync` is given the `reading` that it was decided by, and asks the remote no
   * second time.
   */
  foreseeSync(options?: Omit<SyncOptions, 'interrupted'> & CallOptions): Promise<ForeseenSync>;
  /**
   * Rejects with STORE_CORRUPT when there is a store, and it is damaged: for a start without the remote. Makes no
   * request. A restore that leaves the store alone has looked already.
   */
  assertSound(options?: CallOptions): Promise<void>;
  /** What is known of the store without a request. */
  localStatus(options?: CallOptions): Promise<LocalStatus>;
  /** All snapshots, oldest first. */
  list(options?: CallOptions): Promise<readonly SnapshotSummary[]>;
  /** One snapshot: named by its id, the unique beginning of one, `latest`, or `~N`. NOT_FOUND when there is none such. */
  show(snapshot: string, options?: CallOptions): Promise<ShownSnapshot>;
  /** What differs from one snapshot to another. */
  diff(from: string, to: string, options?: CallOptions): Promise<SnapshotDiff>;
  /** Whether the objects that snapshots name are there, and hold what they should. Damage is a result, not an error. */
  verify(options?: VerifyOptions & CallOptions): Promise<VerifyReport>;
  /** Rebuilds the commit log of a remote that lost it, from what is there. Deletes nothing. */
  repairRemote(options?: { readonly dryRun?: boolean } & CallOptions): Promise<RepairResult>;
  /** Applies the retention rule now, and sweeps what crashed runs left. */
  prune(options?: PruneOptions & CallOptions): Promise<PruneResult>;
  /** Keeps a snapshot, whatever the retention rule says, until `unpin`. */
  pin(snapshot: string, options?: PinOptions & CallOptions): Promise<PinResult>;
  /** Leaves a pinned snapshot to the retention rule again. */
  unpin(snapshot: string, options?: CallOptions): Promise<PinResult>;
  /** Deletes every snapshot but the newest, pinned ones and unresolved tips, for good. */
  clearHistory(options?: { readonly dryRun?: boolean } & CallOptions): Promise<PruneResult>;
  /** The stores that restores replaced. Makes no request. */
  rollbackCopies(options?: CallOptions): Promise<readonly RollbackCopy[]>;
  /** Puts a rollback copy, by its name or as `latest`, back in the place of the store. */
  rollBack(copy: string, options?: { readonly force?: boolean } & CallOptions): Promise<RollbackResult>;
  /** Store and remote, and what the agent says that keeps running beside the store. */
  status(options?: CallOptions): Promise<StatusReport & { readonly agent: StatusFile | undefined }>;
  /**
   * Takes the lease for this host; `settings.leaseMs` is the default of `ttlMs`. Whoever has one renews it each third of
   * that time, and gives its `epoch` to each backup. A lease is plain data, and may be passed on to other processes.
   */
  acquireLease(options?: Partial<AcquireOptions> & CallOptions): Promise<Lease>;
  renewLease(lease: Lease, options?: CallOptions): Promise<RenewResult>;
  releaseLease(lease: Lease, options?: CallOptions): Promise<ReleaseResult>;
  /** Waits until no host has the lease, without taking it: what another host hands over is in the remote then. */
  waitForLease(options: WaitOptions & CallOptions): Promise<WaitResult>;
  /** Tries what the other calls need. A failed check is in the report, not an error. */
  doctor(options?: CallOptions): Promise<DoctorReport>;
  /** Requests made of the remote so far, without repeated ones, which are `retry` events. */
  requests(): number;
  /** The same by kind. */
  counts(): RequestCounts;
  /** Lets go of the remote's connections. */
  close(): Promise<void>;
}
