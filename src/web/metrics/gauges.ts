import { timesUsual } from '../../engine/backup/unusual.ts';
import { unsavedSince } from '../../agent/continuous/log-status.ts';
import type { DaemonStatus } from '../../api/daemon-status.ts';
import type { DiskFacts } from '../disk-facts.ts';
import { isFailing } from '../readiness.ts';

/** An unknown value has no sample. 0 would be a time: an alert would see an age of half a century. */
export const gaugeHelp = {
  sync_agent_start_time_seconds: 'When the agent started, Unix time',
  sync_agent_interval_seconds: 'The interval within which changes should be saved',
  sync_agent_last_success_timestamp_seconds:
    'When a backup last succeeded, with or without a new snapshot, Unix time; no sample before the first',
  sync_agent_last_snapshot_timestamp_seconds:
    'When the snapshot of this store was taken (the newest that it made or was restored from), Unix time',
  sync_agent_next_backup_timestamp_seconds:
    'When the next backup begins, Unix time; no sample if none is planned',
  sync_agent_dirty: '1 while the store has changes that no snapshot has',
  sync_agent_dirty_since_timestamp_seconds:
    'Since when the store has changes that no snapshot has, Unix time; no sample while all is saved',
  sync_agent_unsaved_since_timestamp_seconds:
    'Since when something is neither in a snapshot nor in the log behind one, Unix time; no sample while all is saved',
  sync_agent_log_lag_seconds:
    'How old the first write of the last segment was when it was saved; no sample before the first',
  sync_agent_log_broken:
    '1 while writes cannot be saved one by one, and a snapshot is needed; no sample without --continuous',
  sync_agent_overdue: '1 while changes have been unsaved for longer than the interval plus a margin',
  sync_agent_failing: '1 if a backup or restore failed, and no backup has succeeded since',
  sync_agent_running: '1 while an operation is running',
  sync_agent_store_sound:
    '1 if the last check found the store sound, 0 if damaged; no sample before the first check',
  sync_agent_store_findings: 'Problems that the last check found, and that put no record at risk',
  sync_agent_store_check_timestamp_seconds: 'When the store was last checked, Unix time',
  sync_agent_store_check_seconds: 'How long the last check took',
  sync_agent_server_sound: '1 if the server of the store answered for every collection at the last check',
  sync_agent_server_heartbeat_seconds: 'How long the server took for its heartbeat at the last check',
  sync_agent_server_slowest_seconds: 'The longest answer of the server for a collection at the last check',
  sync_agent_drill_passed: '1 if the last drill passed, 0 if it failed; no sample before the first',
  sync_agent_drill_timestamp_seconds: 'When a snapshot was last drilled on this host, Unix time',
  sync_agent_drill_passed_timestamp_seconds: 'When a drill last passed on this host, Unix time',
  sync_agent_drill_seconds: 'How long the last drill took',
  sync_agent_drill_server_answered:
    '1 if a server gave out everything in the last drill, 0 if it failed; no sample if none was tried',
  sync_agent_copy_success_timestamp_seconds:
    'When the second remote last had the newest snapshot, Unix time; no sample before the first',
  sync_agent_copy_failures:
    'Failed copies to the second remote since the last success; no sample without one',
  sync_agent_tips: "Snapshots that are nobody's parent and not settled; two or more mean that hosts diverged",
  sync_agent_snapshots: 'Snapshots in the remote, as of the last time the agent asked',
  sync_agent_snapshots_bytes:
    'Sum of the sizes of all snapshots in the remote, as of the last time the agent asked',
  sync_agent_newest_snapshot_bytes: 'Size of the newest snapshot in the remote',
  sync_agent_newest_snapshot_growth_ratio:
    'Size of the newest snapshot, divided by the median of the ten before it; no sample with fewer than three',
  sync_agent_newest_snapshot_records: 'Records in the newest snapshot in the remote',
  sync_agent_newest_snapshot_findings:
    'Problems of the store in the newest snapshot that put no record at risk',
  sync_agent_newest_snapshot_damaged: '1 if the newest snapshot is of a damaged store',
  sync_agent_store_bytes: 'Size of the local store',
  sync_agent_store_files: 'Files in the local store',
  sync_agent_store_users_memory_bytes:
    'Resident memory of the other programs that have the store open, such as its server; no sample if none is seen',
  sync_agent_rollback_copies: 'Rollback copies: replaced stores that are kept beside the store',
  sync_agent_rollback_copies_bytes: 'Size of all rollback copies',
  sync_agent_disk_free_bytes: 'Free bytes on the file system of the store',
  sync_agent_disk_size_bytes: 'Size of the file system of the store',
  process_resident_memory_bytes: 'Resident memory of the agent',
} as const;

export type GaugeName = keyof typeof gaugeHelp;

export type GaugeValues = Partial<Readonly<Record<GaugeName, number | null>>>;

/** Null means that a value is unknown or absent. */
export function gaugeValues(status: DaemonStatus, facts: DiskFacts | null): GaugeValues {
  return { ...statusValues(status), ...localValues(facts) };
}

function statusValues(status: DaemonStatus): GaugeValues {
  const snapshots = status.history?.snapshots;
  const newest = snapshots?.at(-1);
  const { dirtySinceMs, check, log } = status;
  return {
    sync_agent_start_time_seconds: status.startedAtMs / 1000,
    sync_agent_interval_seconds: status.intervalMs / 1000,
    sync_agent_last_success_timestamp_seconds: seconds(status.lastSuccessAtMs),
    sync_agent_last_snapshot_timestamp_seconds: seconds(status.lastSnapshot?.createdAtMs ?? null),
    sync_agent_next_backup_timestamp_seconds: seconds(status.nextBackupAtMs),
    sync_agent_dirty: dirtySinceMs === null ? 0 : 1,
    sync_agent_dirty_since_timestamp_seconds: seconds(dirtySinceMs),
    sync_agent_unsaved_since_timestamp_seconds: seconds(unsavedSince(status)),
    sync_agent_log_lag_seconds: seconds(log?.lagMs ?? null),
    sync_agent_log_broken: log === null ? null : log.broken === null ? 0 : 1,
    sync_agent_overdue: status.isOverdue ? 1 : 0,
    sync_agent_failing: isFailing(status) ? 1 : 0,
    sync_agent_running: status.running === null ? 0 : 1,
    sync_agent_store_sound: check === null ? null : check.isSound ? 1 : 0,
    sync_agent_store_findings: check?.findings ?? null,
    sync_agent_store_check_timestamp_seconds: seconds(check?.atMs ?? null),
    sync_agent_store_check_seconds: seconds(check?.tookMs ?? null),
    sync_agent_server_sound: check?.server == null ? null : check.server.problems.length === 0 ? 1 : 0,
    sync_agent_server_heartbeat_seconds: seconds(check?.server?.heartbeatMs ?? null),
    sync_agent_server_slowest_seconds: seconds(check?.server?.slowestMs ?? null),
    sync_agent_copy_success_timestamp_seconds: seconds(status.copy?.lastSuccessAtMs ?? null),
    sync_agent_copy_failures: status.copy?.failures ?? null,
    sync_agent_tips: status.tips.length,
    sync_agent_snapshots: snapshots?.length ?? null,
    sync_agent_snapshots_bytes: snapshots?.reduce((sum, { bytes }) => sum + bytes, 0) ?? null,
    sync_agent_newest_snapshot_bytes: newest?.bytes ?? null,
    sync_agent_newest_snapshot_growth_ratio:
      newest === undefined
        ? null
        : (timesUsual(newest.bytes, snapshots?.slice(0, -1).map(({ bytes }) => bytes) ?? []) ?? null),
    sync_agent_newest_snapshot_records: newest?.records ?? null,
    sync_agent_newest_snapshot_findings: newest === undefined ? null : (newest.findings ?? 0),
    sync_agent_newest_snapshot_damaged: newest === undefined ? null : newest.damaged === true ? 1 : 0,
    process_resident_memory_bytes: process.memoryUsage.rss(),
  };
}

function localValues(facts: DiskFacts | null): GaugeValues {
  const copies = facts?.rollbackCopies;
  const last = facts?.drill?.last ?? null;
  return {
    sync_agent_drill_passed: last === null ? null : last.passed ? 1 : 0,
    sync_agent_drill_timestamp_seconds: seconds(last?.atMs ?? null),
    sync_agent_drill_passed_timestamp_seconds: seconds(facts?.drill?.passedAtMs ?? null),
    sync_agent_drill_seconds: seconds(last?.tookMs ?? null),
    sync_agent_drill_server_answered:
      last === null || last.server === 'none' ? null : last.server === 'answered' ? 1 : 0,
    sync_agent_store_bytes: facts?.store?.bytes ?? null,
    sync_agent_store_files: facts?.store?.files ?? null,
    sync_agent_store_users_memory_bytes: facts?.usersMemoryBytes ?? null,
    sync_agent_rollback_copies: copies?.length ?? null,
    sync_agent_rollback_copies_bytes: copies?.reduce((sum, { bytes }) => sum + bytes, 0) ?? null,
    sync_agent_disk_free_bytes: facts?.disk?.freeBytes ?? null,
    sync_agent_disk_size_bytes: facts?.disk?.totalBytes ?? null,
  };
}

const seconds = (ms: number | null): number | null => (ms === null ? null : ms / 1000);
