import type { ErrorCode } from '../platform/errors.ts';
import type {
  BackupReason,
  DaemonEvent,
  ErrorFacts,
  Operation,
  Phase,
  PhaseTime,
  RequestCounts,
  AgentEvent,
} from '../platform/events.ts';
import type { SnapshotSummary } from '../engine/history/history.ts';

/** What a running agent knows about itself. Plain data, made without a request and without reading the disk. */
export interface DaemonStatus {
  readonly version: string;
  readonly pid: number;
  readonly host: string;
  readonly startedAtMs: number;
  readonly store: string;
  /** For people; holds no credential. */
  readonly remote: string;
  /** `waiting`: something has to be backed up, but its time has not come. */
  readonly state: 'starting' | 'idle' | 'waiting' | 'working' | 'stopping' | 'stopped';
  readonly intervalMs: number;
  readonly cron: string | null;
  readonly detection: 'events' | 'polling';
  /** Since when the store holds something that no snapshot has; null if there is nothing. With a log it may be saved all the same. */
  readonly dirtySinceMs: number | null;
  readonly nextBackupAtMs: number | null;
  readonly nextBackupReason: BackupReason | null;
  readonly running: RunningOperation | null;
  /** The lease of this host; null without one. A lost lease stays here: this host's backups rank below those of the new holder. */
  readonly lease: { readonly epoch: number; readonly isLost: boolean } | null;
  /** The newest snapshot that this store made or was restored from. */
  readonly lastSnapshot: { readonly id: string; readonly createdAtMs: number } | null;
  /** When a backup last succeeded, with or without a new snapshot. */
  readonly lastSuccessAtMs: number | null;
  /** Where the time of the last backup that made a snapshot went. Empty before that. */
  readonly lastBackupPhases: readonly PhaseTime[];
  readonly lastError: (ErrorFacts & { readonly atMs: number; readonly operation: Operation }) | null;
  readonly failures: number;
  /** The last check of the store; null before the first, and without a check interval. */
  readonly check: CheckedStore | null;
  /** The second remote; null without one. */
  readonly copy: CopyStatus | null;
  /** The log of the store's own writes, behind its newest snapshot; null if the settings ask for none. */
  readonly log: LogStatus | null;
  /** What was written more than an interval ago is still not saved: a person should look. */
  readonly isOverdue: boolean;
  /** The remote's snapshots when this agent last asked; null before that. */
  readonly history: {
    readonly asOfMs: number;
    readonly snapshots: readonly SnapshotSummary[];
  } | null;
  /** Two or more: hosts wrote at the same time, and a person has to choose. */
  readonly tips: readonly string[];
  readonly recentEvents: readonly RecordedEvent[];
}

/** What became of the copies to the second remote since the agent started. */
export interface CopyStatus {
  /** For people; null before the first success. */
  readonly to: string | null;
  /** When it last had the newest snapshot. */
  readonly lastSuccessAtMs: number | null;
  /** That snapshot. */
  readonly snapshot: string | null;
  /** Since the last success. */
  readonly failures: number;
  readonly lastError: (ErrorFacts & { readonly atMs: number }) | null;
}

/** What is known of the log of the store's own writes (`--continuous`). */
export interface LogStatus {
  /** Time between a write and its place in the remote. */
  readonly intervalMs: number;
  /** The snapshot behind which writes are saved, or were last; null before the first. */
  readonly snapshot: string | null;
  /** The number of the newest operation that is saved; null before that. */
  readonly upTo: number | null;
  /** Saved behind this snapshot since this agent began to. */
  readonly segments: number;
  readonly operations: number;
  /** Compressed. */
  readonly bytes: number;
  readonly lastShippedAtMs: number | null;
  /** From the first write in the last segment until it was saved, milliseconds. */
  readonly lagMs: number | null;
  /** Since when something is not saved; null if all is. */
  readonly unsavedSinceMs: number | null;
  /** Why the log cannot go on before there is another snapshot; null if it goes on. */
  readonly broken: { readonly why: string; readonly sinceMs: number } | null;
  /** What failed last, and since when something does; null once something was saved. */
  readonly trouble: {
    readonly code: ErrorCode;
    readonly message: string;
    readonly atMs: number;
    readonly sinceMs: number;
  } | null;
  /** How often writes were gone before they were read. */
  readonly gaps: number;
  /** What the log has cost. */
  readonly requests: RequestCounts;
}

/** What the last check found. */
export type CheckedStore = Omit<Extract<DaemonEvent, { type: 'checked' }>, 'type' | 'isUnchanged'> & {
  readonly atMs: number;
};

/** What `sync-agent status` reads of an agent in another process: its status without the long lists. */
export type StatusFile = Omit<DaemonStatus, 'recentEvents' | 'history' | 'lastBackupPhases'>;

export interface RunningOperation {
  readonly operation: Operation;
  readonly reason: BackupReason | null;
  readonly startedAtMs: number;
  readonly phase: Phase | null;
  /** Bytes in the phase. */
  readonly done: number;
  readonly total: number;
}

/** Newest last. */
export interface RecordedEvent {
  readonly atMs: number;
  readonly event: DaemonEvent | AgentEvent;
}

/** What an agent says when it has stopped. */
export interface Saved {
  /** Everything written before the call is in a snapshot. */
  readonly isSaved: boolean;
  /** Milliseconds since the epoch; null if all is saved, or if nobody knows. */
  readonly unsavedSinceMs: number | null;
}
