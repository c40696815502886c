import type { CallOptions } from '../api/agent.ts';
import type { CopyTarget } from '../api/copy-operations.ts';
import type { DaemonStatus, RecordedEvent, Saved } from '../api/daemon-status.ts';
import type { Operations, OperationsFor } from '../api/operations.ts';
import type { BackupOptions, BackupResult } from '../engine/backup/backup.ts';
import type { FlushOptions, FlushResult } from '../engine/continuous/flush.ts';
import type { Home } from '../home/home.ts';
import type { Clock } from '../platform/clock.ts';
import type { AgentEvent, DaemonEvent } from '../platform/events.ts';
import type { FileSystem } from '../platform/file-system.ts';
import type { SaveOptions } from './final-backup.ts';
import type { TakeOptions } from './lease-keeper.ts';
import type { OperationCall, OperationResult } from './run-operation.ts';

export interface DaemonSettings {
  readonly intervalMs: number;
  readonly settleMs: number;
  /** Additional fixed times. */
  readonly cron: string | null;
  readonly detect: 'auto' | 'events' | 'poll';
  readonly pollIntervalMs: number;
  /** How long the lease lasts when this host dies; null: it takes none. */
  readonly leaseMs: number | null;
  /** Time between a write and its place in the remote, if the log of the store's own writes is saved; null: it is not. */
  readonly continuousMs: number | null;
  /** Time between checks of the store; 0: none. */
  readonly checkIntervalMs: number;
  /** The running server, which these checks ask too. */
  readonly checkServer: string | undefined;
  /** Time between drills; 0: none. */
  readonly drillIntervalMs: number;
  /** The command that starts a server for them, or `off`. */
  readonly drillServer: string | undefined;
  /** The second remote; undefined: there is none. */
  readonly copyTo: string | CopyTarget | undefined;
  readonly copyIntervalMs: number;
}

export interface DaemonOptions {
  readonly settings: DaemonSettings;
  readonly home: Home;
  /** For people. */
  readonly remote: string;
  readonly version: string;
  readonly host: string;
  /** The command that it runs as, for messages of others that find the store taken. */
  readonly command: string;
  readonly operationsFor: OperationsFor;
  readonly clock: Clock;
  readonly fs: FileSystem;
  readonly emit: (event: AgentEvent | DaemonEvent) => void;
}

/** The agent that keeps running beside one store. It is started once, and stopped for good. */
export interface Daemon {
  /** Makes this the store's one agent. BUSY, naming the other one. `start` does it, too. */
  claim(): Promise<void>;
  /** Runs an operation that somebody asked for, after the one that runs now. Ended by `signal`, and by a `stop` that has no time left. */
  operate<T extends OperationResult>(
    call: Pick<OperationCall<T>, 'operation' | 'reason'> & {
      readonly work: (operations: Operations, signal: AbortSignal) => Promise<T>;
    },
    options?: CallOptions,
  ): Promise<T>;
  /** A backup that somebody asked for: as `operate`, and the schedule goes on from it. */
  backup(options?: BackupOptions & CallOptions): Promise<BackupResult>;
  /**
   * Resolves when all that the store acknowledged before the call is in the remote. BUSY if the log does not save it within `timeoutMs`. Without
   * a log that is followed it is a backup.
   */
  flush(options?: FlushOptions & CallOptions): Promise<FlushResult | BackupResult>;
  /** Takes the lease if the settings ask for one, after its present holder. `start` takes it too, if it is free. */
  takeLease(options: TakeOptions): Promise<void>;
  /** Begins to watch the store and to back up. A second call is the same start. After a rejection only `close` is left. */
  start(options?: CallOptions): Promise<void>;
  notify(): void;
  status(): DaemonStatus;
  subscribe(listener: (recorded: RecordedEvent) => void): () => void;
  /** Records an event, and passes it on. */
  tell(event: AgentEvent | DaemonEvent): void;
  /**
   * Stops watching and scheduling, and backs up what is in no snapshot. May be called again, for what was written since. A
   * backup that cannot be made is a result, not a rejection.
   */
  stop(options: SaveOptions): Promise<Saved>;
  /** Lets another agent have the store. */
  close(): Promise<void>;
}
