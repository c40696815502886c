/** The library: everything the command line does, for programs. */
export { createSyncAgent } from './sync-agent.ts';
export type { StopOptions, SyncAgent, SyncAgentEvent, SyncAgentPorts } from './sync-agent.ts';
export { defaultSchedule } from './open-daemon.ts';
export type { SyncAgentSettings } from './open-daemon.ts';
export type { Saved } from './daemon/final-backup.ts';
export type { DaemonOperations, OperationsFor } from './daemon/daemon-operations.ts';
export type { DaemonStatus, RecordedEvent, RunningOperation } from './daemon/daemon-status.ts';
export { defaultSettings } from './agent-settings.ts';
export { createAgent } from './agent.ts';
export type { AgentSettings } from './agent-settings.ts';
export type { Agent, AgentPorts, CallOptions } from './agent.ts';
export type { Clock } from './clock.ts';
export type { BackupOptions, BackupResult } from './engine/backup.ts';
export type { DoctorCheck } from './engine/doctor-check.ts';
export type { DoctorReport } from './engine/doctor.ts';
export type { ShownSnapshot, SnapshotDiff, SnapshotSummary } from './engine/history.ts';
export type { AcquireOptions, Lease, ReleaseResult, RenewResult } from './engine/lease.ts';
export type { LeaseStatus } from './engine/lease-status.ts';
export type { PinOptions, PinResult } from './engine/pin.ts';
export type { PruneOptions, PruneResult } from './engine/prune.ts';
export type { RepairResult, RepairedSnapshot } from './engine/repair-remote.ts';
export type { LocalLook } from './engine/look.ts';
export type { RestoreToResult } from './engine/restore-to.ts';
export type { RestoreOptions, RestoreResult } from './engine/restore.ts';
export type { RollbackResult } from './engine/rollback.ts';
export type { Relation, RemoteStatus, StatusReport, StoreStatus } from './engine/status.ts';
export type { SyncOptions, SyncResult } from './engine/sync.ts';
export type { RemoteUsage } from './engine/usage.ts';
export type { VerifyOptions, VerifyReport } from './engine/verify.ts';
export type { WaitOptions, WaitResult } from './engine/wait-for-lease.ts';
export { SyncAgentError, exitCodes, isSyncAgentError } from './errors.ts';
export type { ErrorCode } from './errors.ts';
export type {
  AgentEvent,
  BackupReason,
  ChangeSource,
  DaemonEvent,
  Emit,
  ErrorFacts,
  LeaseEvent,
  Operation,
  OperationCosts,
  Phase,
  RequestCounts,
  SnapshotFacts,
} from './events.ts';
export type { HookDocument, HookName, Hooks } from './hooks/hook.ts';
export { withHooks } from './hooks/with-hooks.ts';
export type { HookContext } from './hooks/with-hooks.ts';
export type { ObjectStore } from './remote/object-store.ts';
export type { S3Options } from './remote/open-remote.ts';
export type { Manifest, Pin } from './snapshot/manifest.ts';
export type { KeepReason } from './snapshot/retention.ts';
export type { RollbackCopy } from './store/rollback-copies.ts';
export { version } from './version.ts';
