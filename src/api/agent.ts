import type { BackupOptions, BackupResult } from '../engine/backup/backup.ts';
import type { DrillReport } from '../engine/drill/drill-report.ts';
import type { DrillOptions } from '../engine/drill/drill.ts';
import type { FlushOptions, FlushResult } from '../engine/continuous/flush.ts';
import type { FollowResult } from '../engine/continuous/follow-log.ts';
import type { DoctorReport } from '../engine/doctor/doctor.ts';
import type { CheckOptions, CheckReport } from '../engine/reading/check-store.ts';
import type { InspectReport } from '../engine/reading/inspect-store.ts';
import type { ShownSnapshot, SnapshotDiff, SnapshotSummary } from '../engine/history/history.ts';
import type { PinOptions, PinResult } from '../engine/history/pin.ts';
import type { PruneOptions, PruneResult } from '../engine/history/prune.ts';
import type { VerifyOptions, VerifyReport } from '../engine/history/verify.ts';
import type { AcquireOptions, Lease, ReleaseResult, RenewResult } from '../engine/lease/lease.ts';
import type { WaitOptions, WaitResult } from '../engine/lease/wait-for-lease.ts';
import type { LocalStatus, LocalStatusOptions } from '../engine/local-status.ts';
import type { RepairResult } from '../engine/repair/repair-remote.ts';
import type { MaintainStoreOptions, MaintainStoreResult } from '../engine/mending/maintain-store.ts';
import type { StoreRepairOptions, StoreRepairResult } from '../engine/mending/repair-store.ts';
import type { AsideOptions, RestoreToResult } from '../engine/restore/restore-to.ts';
import type { RebuildOptions, RebuildResult } from '../engine/rebuild/place-build.ts';
import type { RestoreOptions, RestoreResult } from '../engine/restore/restore.ts';
import type { RollbackResult } from '../engine/restore/rollback.ts';
import type { StatusReport } from '../engine/status.ts';
import type { ForeseenSync, SyncOptions, SyncResult } from '../engine/sync.ts';
import type { OperationLogOptions, OperationRecord } from '../home/operations/records.ts';
import type { RollbackCopy } from '../home/rollback-copies.ts';
import type { RequestCounts } from '../platform/events.ts';
import type { ServerPlace, ServerReport } from '../stores/reading.ts';
import type { StatusFile } from './daemon-status.ts';
import type { ArchiveOperations } from './archive-operations.ts';
import type { CopyOperations } from './copy-operations.ts';
import type { RecordOperations } from './record-operations.ts';

export interface CallOptions {
  /** Aborts the call, which then rejects with INTERRUPTED once it has cleaned up. */
  readonly signal?: AbortSignal | undefined;
  /** The id, in the operation log, of the operation within which the call is made. */
  readonly within?: string | undefined;
}

/** Which store a call reads: at most one of them; by default the agent's own. */
export interface ReadFrom {
  /** Another directory. */
  readonly dir?: string | undefined;
  /** A snapshot of the remote, by its id, the unique beginning of one, `latest`, or `~N`. */
  readonly snapshot?: string | undefined;
}

/**
 * Each call that writes locally holds the store's lock, or rejects with BUSY after `settings.lockWaitMs`, and first finishes
 * what an interrupted run left.
 */
export interface Agent extends RecordOperations, ArchiveOperations, CopyOperations {
  /** Makes one snapshot if anything changed. REFUSED where it would put good data at risk, NOT_FOUND without a store. */
  backup(options?: BackupOptions & CallOptions): Promise<BackupResult>;
  /**
   * Saves the log of the store's own writes until the signal aborts, and then the rest: each write is in the remote `intervalMs` after it. Its
   * events tell what it does. UNSUPPORTED for a kind of store that keeps no log.
   */
  followLog(
    options: { readonly intervalMs: number; readonly epoch?: number | undefined } & CallOptions,
  ): Promise<FollowResult>;
  /** Resolves when all that the store acknowledged before the call is in the remote. BUSY if it is not within `timeoutMs`, 30 s by default. */
  flush(options?: FlushOptions & CallOptions): Promise<FlushResult | BackupResult>;
  /** Puts the newest snapshot in the place of the store if that loses nothing. A divergence is a result, not an error. */
  restore(options?: Omit<RestoreOptions, 'interrupted'> & CallOptions): Promise<RestoreResult>;
  /** Puts a snapshot into a new directory. The store is not touched. */
  restoreTo(dir: string, options?: AsideOptions & CallOptions): Promise<RestoreToResult>;
  /** Backs up or restores, whichever side alone has moved. */
  sync(
    options?: Omit<SyncOptions, 'interrupted'> & Partial<Pick<ForeseenSync, 'reading'>> & CallOptions,
  ): Promise<SyncResult>;
  /**
   * Whether a sync will back up or restore, without doing it. Pass its `reading` to `sync`, which then does not ask the remote
   * again.
   */
  foreseeSync(options?: Omit<SyncOptions, 'interrupted'> & CallOptions): Promise<ForeseenSync>;
  /**
   * Rejects with STORE_CORRUPT if there is a store and it is damaged: for a start without the remote. Makes no
   * request. Not needed after a restore, which checks a store that it leaves alone.
   */
  assertSound(options?: CallOptions): Promise<void>;
  /** What this host knows about the store. Makes no request. */
  localStatus(options?: LocalStatusOptions & CallOptions): Promise<LocalStatus>;
  /** All snapshots, oldest first. */
  list(options?: CallOptions): Promise<readonly SnapshotSummary[]>;
  /** One snapshot, named by its id, the unique beginning of one, `latest`, or `~N`. NOT_FOUND if there is none. */
  show(snapshot: string, options?: CallOptions): Promise<ShownSnapshot>;
  /** What differs from one snapshot to another. */
  diff(from: string, to: string, options?: CallOptions): Promise<SnapshotDiff>;
  /** Checks that the objects of snapshots exist and hold what they should. Damage is a result, not an error. */
  verify(options?: VerifyOptions & CallOptions): Promise<VerifyReport>;
  /**
   * Proves that a snapshot restores: into a directory of its own, with everything checked, and with a server that is started on the copy and asked
   * for every collection. What is wrong is a result, not an error. Touches neither store nor remote. BUSY while another drill runs.
   */
  drill(options?: DrillOptions & CallOptions): Promise<DrillReport>;
  /**
   * Whether a store is sound, with everything compared; and with `server`, whether its running server can give out what it has. Damage is a
   * result, not an error. Works on a store in use, and makes no request unless `snapshot` names one.
   */
  check(options?: CheckOptions & ReadFrom & CallOptions): Promise<CheckReport>;
  /** The part of `check` that asks the running server. */
  checkServer(server: ServerPlace, options?: CallOptions): Promise<ServerReport>;
  /** What is in a store: collections, indexes, queue, sizes, versions. Reads as `check` does, and judges nothing. */
  inspect(options?: ReadFrom & CallOptions): Promise<InspectReport>;
  /**
   * Mends the store on a copy, and puts the copy in its place; the store as it was becomes a rollback copy. What cannot be mended is part
   * of the result. BUSY while a process has the store open. Makes no request.
   */
  repair(options?: StoreRepairOptions & CallOptions): Promise<StoreRepairResult>;
  /**
   * Compacts the databases of the store on a copy, after a snapshot unless the store equals one, and puts the copy in its place. BUSY while
   * a process has the store open.
   */
  maintain(options?: MaintainStoreOptions & CallOptions): Promise<MaintainStoreResult>;
  /**
   * Puts a store that was built aside in the place of the present one: the last step of `SyncAgent.rebuild`, whose lock the caller holds. `build`
   * names what was built.
   */
  placeBuild(build: string, options?: RebuildOptions & CallOptions): Promise<RebuildResult>;
  /** Rebuilds a lost commit log from what the remote still holds. Deletes nothing. Not about the store: that is `repair`. */
  repairRemote(options?: { readonly dryRun?: boolean } & CallOptions): Promise<RepairResult>;
  /** Applies the retention rule now, and removes what crashed runs left. */
  prune(options?: PruneOptions & CallOptions): Promise<PruneResult>;
  /** Keeps a snapshot, whatever the retention rule says, until `unpin`. */
  pin(snapshot: string, options?: PinOptions & CallOptions): Promise<PinResult>;
  /** Makes a pinned snapshot subject to the retention rule again. */
  unpin(snapshot: string, options?: CallOptions): Promise<PinResult>;
  /** Deletes every snapshot for good, except the newest, pinned ones and unresolved tips. */
  clearHistory(options?: { readonly dryRun?: boolean } & CallOptions): Promise<PruneResult>;
  /** Lists the stores that restores, repairs and maintenance replaced. Makes no request. */
  rollbackCopies(options?: CallOptions): Promise<readonly RollbackCopy[]>;
  /** Puts a rollback copy, named or `latest`, back in the place of the store. */
  rollBack(copy: string, options?: { readonly force?: boolean } & CallOptions): Promise<RollbackResult>;
  /**
   * Who did what to the store and the remote from this host: the operation log, oldest first. An operation that was killed is `open`. Makes no
   * request.
   */
  operationLog(options?: OperationLogOptions & CallOptions): Promise<readonly OperationRecord[]>;
  /** Store and remote, and what the running agent beside the store says. */
  status(options?: CallOptions): Promise<StatusReport & { readonly agent: StatusFile | undefined }>;
  /**
   * Takes the lease for this host; `settings.leaseMs` is the default of `ttlMs`. The holder renews it every third of
   * that time, and passes its `epoch` to each backup. A lease is plain data that other processes can use.
   */
  acquireLease(options?: Partial<AcquireOptions> & CallOptions): Promise<Lease>;
  renewLease(lease: Lease, options?: CallOptions): Promise<RenewResult>;
  releaseLease(lease: Lease, options?: CallOptions): Promise<ReleaseResult>;
  /** Waits until no host has the lease, without taking it. Then what another host hands over is in the remote. */
  waitForLease(options: WaitOptions & CallOptions): Promise<WaitResult>;
  /** Tries what the other calls need. A failed check is part of the report, not an error. */
  doctor(options?: CallOptions): Promise<DoctorReport>;
  /** Requests to the remote so far, without repeated ones, which are `retry` events. */
  requests(): number;
  /** The same by kind. */
  counts(): RequestCounts;
  /** Closes the connections to the remote. */
  close(): Promise<void>;
}
