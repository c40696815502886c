/** The library: everything the command line does, for programs. */
export { createSyncAgent } from './library/create-sync-agent.ts';
export type { SyncAgentPorts } from './library/create-sync-agent.ts';
export type { RebuildWait, StopOptions, SyncAgent, SyncAgentEvent } from './api/sync-agent.ts';
export { defaultSchedule } from './library/open-daemon.ts';
export type { SyncAgentSettings } from './library/open-daemon.ts';
export type { BackupAndHistory, OperationObserver, Operations, OperationsFor } from './api/operations.ts';
export type {
  CheckedStore,
  CopyStatus,
  DaemonStatus,
  LogStatus,
  RecordedEvent,
  RunningOperation,
  Saved,
  StatusFile,
} from './api/daemon-status.ts';
export type { ProtectOptions, ProtectedContext, ProtectedWork } from './api/protecting.ts';
export type { ProtectionOptions } from './engine/protecting/plan-protection.ts';
export { protectedOperation } from './library/protecting/protected-operation.ts';
export type {
  ProtectedFunction,
  ProtectedOperationOptions,
} from './library/protecting/protected-operation.ts';
export { defaultSettings } from './in-process/agent-settings.ts';
export { createAgent } from './in-process/create-agent.ts';
export type { AgentSettings } from './in-process/agent-settings.ts';
export type { AgentPorts } from './in-process/create-agent.ts';
export type { Agent, CallOptions, ReadFrom } from './api/agent.ts';
export type {
  AnalyzeServerOptions,
  ExportOptions,
  ImportOptions,
  IndexIntoServerOptions,
  MergeIntoServerOptions,
  MemoryOptions,
  RecordOperations,
  RecordsFrom,
  RestoreIntoServerOptions,
} from './api/record-operations.ts';
export type { CopyOperations, CopyTarget } from './api/copy-operations.ts';
export type { CopiedSnapshot } from './engine/copying/copy-snapshot.ts';
export type { CopyOptions, CopyResult } from './engine/copying/copy-snapshots.ts';
export type { ArchiveOperations, ArchiveToOptions } from './api/archive-operations.ts';
export type { ArchiveOptions, ArchiveResult } from './engine/archives/archive-store.ts';
export type {
  ArchiveInfo,
  ArchiveListing,
  ArchiveSummary,
  UnreadableArchive,
} from './engine/archives/list-archives.ts';
export type {
  ArchiveRestored,
  ArchiveRestoredTo,
  RestoreArchiveOptions,
} from './engine/archives/restore-archive.ts';
export type { CollectionChoice } from './engine/records/choose-collections.ts';
export type { CollectionDiff, RecordsDiff } from './engine/records/diff-records.ts';
export type { ExportResult, ExportedLosses, SalvageOptions } from './engine/records/export-to.ts';
export type { ImportFilesOptions, ImportResult } from './engine/records/import-records.ts';
export type {
  RestoreCollectionOptions,
  RestoreCollectionResult,
} from './engine/records/restore-collection.ts';
export type {
  MergeConflict,
  MergeOptions,
  MergeResult,
  MergedCollection,
  Prefer,
  ServerDifference,
} from './engine/merge/merge-result.ts';
export type { Fate } from './engine/merge/three-way.ts';
export type { RecordPart } from './engine/records/same-record.ts';
export type { RecordProblem } from './engine/records/send-batch.ts';
export type { SendOptions, SentCollection } from './engine/records/send-records.ts';
export type { ExportFilesOptions, ExportedFile } from './engine/records/export-records.ts';
export type { ServerAnalysis } from './stores/chroma/measuring/analyze-server.ts';
export type { AnalyzedBatch, Recommendation } from './stores/chroma/measuring/recommend.ts';
export type { MemoryUse } from './platform/memory/memory-use.ts';
export type { IndexFileOptions } from './engine/writing/index-file.ts';
export type { IndexOptions, IndexResult } from './engine/writing/index-records.ts';
export type { RecordLoss } from './stores/record-source.ts';
export type { Clock } from './platform/clock.ts';
export type { BackupOptions, BackupResult } from './engine/backup/backup.ts';
export type { AppliedLog } from './engine/continuous/apply-log.ts';
export type { FlushOptions, FlushResult } from './engine/continuous/flush.ts';
export type { FollowResult } from './engine/continuous/follow-log.ts';
export type { LogReach } from './engine/continuous/log-reach.ts';
export type { LogPosition } from './stores/operation-log.ts';
export type { DoctorCheck } from './engine/doctor/check.ts';
export type { DoctorReport } from './engine/doctor/doctor.ts';
export type { DrillOptions } from './engine/drill/drill.ts';
export type {
  ChosenBecause,
  DrillProblem,
  DrillRecovery,
  DrillReport,
  DrillStep,
  DrilledServer,
} from './engine/drill/drill-report.ts';
export type { DamageKind } from './engine/drill/damage-kinds.ts';
export type { DrillRecord } from './home/records/drill-record.ts';
export type { CheckOptions, CheckReport, CheckedProblem } from './engine/reading/check-store.ts';
export type { ServerCollectionReport, ServerPlace, ServerProblem, ServerReport } from './stores/reading.ts';
export type { CollectionStatistics } from './stores/adapter.ts';
export type { InspectReport } from './engine/reading/inspect-store.ts';
export type { DescribedCollection, StoreDescription } from './stores/reading.ts';
export type { ShownSnapshot, SnapshotDiff, SnapshotSummary } from './engine/history/history.ts';
export type { AcquireOptions, Lease, ReleaseResult, RenewResult } from './engine/lease/lease.ts';
export type { LeaseStatus } from './engine/lease/lease-status.ts';
export type { PinOptions, PinResult } from './engine/history/pin.ts';
export type { PruneOptions, PruneResult } from './engine/history/prune.ts';
export type { RepairResult, RepairedSnapshot } from './engine/repair/repair-remote.ts';
export type { LocalStatus, LocalStatusOptions } from './engine/local-status.ts';
export type { MaintainStoreOptions, MaintainStoreResult } from './engine/mending/maintain-store.ts';
export type { RepairedStep, StoreRepairOptions, StoreRepairResult } from './engine/mending/repair-store.ts';
export type {
  JournalMode,
  Maintained,
  MaintenanceEstimate,
  RepairLoss,
  RepairStep,
  WithheldStep,
} from './stores/mending.ts';
export type { AsideOptions, RestoreToResult } from './engine/restore/restore-to.ts';
export type { RebuildOptions, RebuildResult } from './engine/rebuild/place-build.ts';
export type { RestoreOptions, RestoreResult } from './engine/restore/restore.ts';
export type { RollbackResult } from './engine/restore/rollback.ts';
export type { Relation } from './engine/relation.ts';
export type { RemoteStatus, StatusReport, StoreStatus } from './engine/status.ts';
export type { ForeseenSync, RemoteReading, SyncOptions, SyncResult } from './engine/sync.ts';
export type { RemoteUsage } from './engine/history/usage.ts';
export type { VerifyOptions, VerifyReport } from './engine/history/verify.ts';
export type { VerifyCoverage } from './engine/history/verify-in-turn.ts';
export type { WaitOptions, WaitResult } from './engine/lease/wait-for-lease.ts';
export { SyncAgentError, exitCodes, isSyncAgentError } from './platform/errors.ts';
export type { ErrorCode } from './platform/errors.ts';
export type {
  AgentEvent,
  BackupReason,
  ChangeSource,
  CheckedServer,
  DaemonEvent,
  Emit,
  ErrorFacts,
  LeaseEvent,
  Operation,
  OperationCosts,
  Phase,
  RequestCounts,
  SnapshotFacts,
} from './platform/events.ts';
export type { HookDocument, HookName, Hooks } from './hooks/hook.ts';
export { withHooks } from './hooks/with-hooks.ts';
export type { HookContext } from './hooks/with-hooks.ts';
export type { Remote } from './remotes/remote.ts';
export type { S3Options } from './remotes/s3/s3-settings.ts';
export type { Manifest, Pin } from './log/manifest.ts';
export type { KeepReason } from './log/retention.ts';
export type { OperationLogOptions, OperationRecord } from './home/operations/records.ts';
export type { RollbackCopy } from './home/rollback-copies.ts';
export { version } from './version.ts';
