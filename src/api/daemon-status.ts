import type {
  BackupReason,
  DaemonEvent,
  ErrorFacts,
  Operation,
  Phase,
  AgentEvent,
} from '../platform/events.ts';
import type { SnapshotSummary } from '../engine/history/history.ts';

/** What a running agent knows of itself. Plain data, made without a request and without a look at the disk. */
export interface DaemonStatus {
  readonly version: string;
  readonly pid: number;
  readonly host: string;
  readonly startedAtMs: number;
  readonly store: string;
  /** For people; holds no credential. */
  readonly remote: string;
  /** `waiting`: something is to be backed up and its time has not come. */
  readonly state: 'starting' | 'idle' | 'waiting' | 'working' | 'stopping' | 'stopped';
  readonly intervalMs: number;
  readonly cron: string | null;
  readonly detection: 'events' | 'polling';
  /** Since when the store holds what no snapshot has; null when all is saved. */
  readonly dirtySinceMs: number | null;
  readonly nextBackupAtMs: number | null;
  readonly nextBackupReason: BackupReason | null;
  readonly running: RunningOperation | null;
  /** Of this host; null without one. A lost one stays: its backups rank below those of whoever took it. */
  readonly lease: { readonly epoch: number; readonly isLost: boolean } | null;
  /** The newest snapshot that this store made or was restored from. */
  readonly lastSnapshot: { readonly id: string; readonly createdAtMs: number } | null;
  /** When a backup last ended well, with or without a new snapshot. */
  readonly lastSuccessAtMs: number | null;
  readonly lastError: (ErrorFacts & { readonly atMs: number; readonly operation: Operation }) | null;
  readonly failures: number;
  /** What was written longer ago than an interval, and some, is not saved: somebody should look. */
  readonly isOverdue: boolean;
  /** The remote's snapshots, as of the last time this agent asked; null before that. */
  readonly history: {
    readonly asOfMs: number;
    readonly snapshots: readonly SnapshotSummary[];
  } | null;
  /** Two or more: hosts wrote beside each other, and a person has to choose. */
  readonly tips: readonly string[];
  readonly recentEvents: readonly RecordedEvent[];
}

/** What `sync-agent status` reads of an agent in another process: its status without the long lists. */
export type StatusFile = Omit<DaemonStatus, 'recentEvents' | 'history'>;

export interface RunningOperation {
  readonly operation: Operation;
  readonly reason: BackupReason | null;
  readonly startedAtMs: number;
  readonly phase: Phase | null;
  /** Bytes of the phase. */
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
  /** All that was written before the call is in a snapshot. */
  readonly isSaved: boolean;
  /** Milliseconds since the epoch; null when saved, or when nobody knows. */
  readonly unsavedSinceMs: number | null;
}
