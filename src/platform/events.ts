import type { ErrorCode } from './errors.ts';

/** What the engine reports while it works. It never prints: `report/` and users of the library do. */
export type AgentEvent =
  | { readonly type: 'phase'; readonly phase: Phase }
  /** At the end of a backup or restore: where its time went, in the order in which the phases began. */
  | { readonly type: 'phases'; readonly phases: readonly PhaseTime[] }
  /** `done` of `total` bytes, or of what `unit` says, of the current phase. `done` starts at 0 in each phase. */
  | {
      readonly type: 'progress';
      readonly phase: Phase;
      readonly done: number;
      readonly total: number;
      readonly unit?: 'records';
    }
  | {
      readonly type: 'warning';
      readonly code: ErrorCode | 'NOTICE';
      readonly message: string;
      readonly remedy?: string;
    }
  | {
      readonly type: 'captured';
      readonly bytes: number;
      readonly attempts: number;
      readonly heldMs: number;
      readonly longestHoldMs: number;
    }
  /** From now on the snapshot exists. */
  | { readonly type: 'committed'; readonly id: string; readonly generation: number }
  | { readonly type: 'rotated'; readonly snapshots: readonly string[]; readonly objects: number }
  | { readonly type: 'restored'; readonly id: string; readonly store: string }
  | { readonly type: 'diverged'; readonly tips: readonly string[] }
  | LeaseEvent
  | LogEvent
  | {
      readonly type: 'retry';
      readonly operation: string;
      readonly key: string;
      readonly attempt: number;
      readonly delayMs: number;
      readonly message: string;
    }
  /** A hook has ended. `message` says what went wrong if it is not ok. */
  | {
      readonly type: 'hook';
      readonly hook: string;
      readonly outcome: 'ok' | 'failed' | 'timed-out';
      readonly durationMs: number;
      readonly message?: string;
    }
  /** A line that a hook's command printed. */
  | { readonly type: 'hook-output'; readonly hook: string; readonly line: string };

/** What a running agent reports in addition: everything that its schedule does, so that its log can be audited. */
export type DaemonEvent =
  | { readonly type: 'started'; readonly intervalMs: number; readonly cron: string | null }
  /** How changes are noticed from now on. */
  | { readonly type: 'watching'; readonly by: 'events' | 'polling'; readonly why?: string }
  /** The first sign that the store differs from its newest snapshot. */
  | { readonly type: 'changed'; readonly source: ChangeSource; readonly atMs: number }
  /** When the next backup begins. Null while there is nothing to back up. */
  | { readonly type: 'scheduled'; readonly atMs: number | null; readonly reason: BackupReason | null }
  | {
      readonly type: 'operation-started';
      readonly operation: Operation;
      readonly reason: BackupReason | null;
    }
  | ({
      readonly type: 'operation-finished';
      readonly operation: Operation;
      /** The result's `type`: committed, unchanged, restored … */
      readonly outcome: string;
      /** The snapshot that was made or restored. */
      readonly snapshot: SnapshotFacts | null;
    } & OperationCosts)
  | ({
      readonly type: 'operation-failed';
      readonly operation: Operation;
      readonly error: ErrorFacts;
      /** When it is tried again. Null if it is not. */
      readonly retryAtMs: number | null;
    } & OperationCosts)
  /** The store was checked while the agent runs. */
  | {
      readonly type: 'checked';
      readonly isSound: boolean;
      /** What its own server would lose records by, refuse them or crash, in sentences. */
      readonly damage: readonly string[];
      /** How many other problems there are, that put no record at risk. */
      readonly findings: number;
      /** It was not written since the last check, so it was not read again. */
      readonly isUnchanged: boolean;
      /** Null if none is asked. */
      readonly server: CheckedServer | null;
      readonly tookMs: number;
    }
  /** A snapshot was restored into a scratch directory and tried out while the agent runs. */
  | {
      readonly type: 'drilled';
      readonly passed: boolean;
      /** Null if the remote has lost its list of snapshots. */
      readonly snapshot: string | null;
      readonly records: number;
      /** What is damaged, in sentences. */
      readonly problems: readonly string[];
      /** What a restore would do instead; null if there are no problems. */
      readonly recovery: string | null;
      /** `none`: no server was tried. */
      readonly server: 'answered' | 'failed' | 'none';
      readonly tookMs: number;
    }
  /** The newest snapshot is in the second remote. */
  | {
      readonly type: 'copied';
      /** The second remote, without a credential. */
      readonly to: string;
      readonly newest: string;
      /** Those that were sent; empty if nothing was to be done. */
      readonly snapshots: readonly string[];
      readonly sentBytes: number;
      readonly tookMs: number;
    }
  | { readonly type: 'listening'; readonly url: string }
  | { readonly type: 'command-started'; readonly pid: number; readonly command: string }
  | {
      readonly type: 'command-exited';
      readonly exitCode: number | null;
      readonly signal: string | null;
      readonly isExpected: boolean;
    }
  /** A check found the store damaged while a command runs on it. `why` says what made the agent give up: the command then runs on. */
  | { readonly type: 'recovery'; readonly state: 'began' | 'done'; readonly round: number }
  | {
      readonly type: 'recovery';
      readonly state: 'given-up';
      readonly round: number;
      readonly why: string;
    }
  | { readonly type: 'stopping'; readonly reason: string }
  /**
   * `isSaved`: everything that was written is in a snapshot. If not, `unsavedSinceMs` says since when. `writers` still have the
   * store open: what they write now is in no snapshot.
   */
  | {
      readonly type: 'stopped';
      readonly isSaved: boolean;
      readonly unsavedSinceMs: number | null;
      readonly writers?: readonly { readonly pid: number; readonly command: string }[];
    };

/** What a running server of the store answered. */
export interface CheckedServer {
  readonly isReachable: boolean;
  readonly heartbeatMs: number | null;
  /** The longest answer of any collection. */
  readonly slowestMs: number | null;
  /** What failed, in sentences. */
  readonly problems: readonly string[];
}

export type ChangeSource = 'events' | 'polling' | 'notify' | 'start';
export type BackupReason = 'change' | 'fixed-time' | 'retry' | 'log' | 'shutdown' | 'command-exit' | 'demand';
export type Operation = 'backup' | 'restore' | 'sync' | 'list' | 'lease' | 'check' | 'drill' | 'copy';

export interface SnapshotFacts {
  readonly id: string;
  readonly bytes: number;
  readonly records: number;
  readonly uploadBytes: number;
  /** Milliseconds for which the store's writers were held back: the sum, and the longest time without a break. */
  readonly heldMs: number;
  readonly longestHoldMs: number;
}

export interface OperationCosts {
  readonly durationMs: number;
  /** Requests by kind. Retries are not counted. */
  readonly requests: RequestCounts;
  readonly retries: number;
}

export interface RequestCounts {
  readonly put: number;
  readonly get: number;
  readonly head: number;
  /** Pages. */
  readonly list: number;
  readonly copy: number;
  /** Keys. */
  readonly remove: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
}

export const noRequests: RequestCounts = {
  put: 0,
  get: 0,
  head: 0,
  list: 0,
  copy: 0,
  remove: 0,
  bytesSent: 0,
  bytesReceived: 0,
};

export interface ErrorFacts {
  readonly code: ErrorCode;
  readonly message: string;
  readonly remedy: string | null;
}

/** Of the log of a store's own writes behind its newest snapshot. Numbers are those of the store's operations. */
export type LogEvent =
  /** The log of this snapshot is written from now on. It reaches up to this operation. */
  | {
      readonly type: 'log-following';
      readonly snapshot: string;
      readonly upTo: number;
      /** Made for the log since the last event that says so. */
      readonly requests: RequestCounts;
    }
  /** Something was read that is not saved yet, while all else was. Milliseconds since the epoch. */
  | { readonly type: 'log-pending'; readonly sinceMs: number }
  | {
      readonly type: 'log-shipped';
      readonly snapshot: string;
      readonly segment: number;
      readonly operations: number;
      /** Compressed. */
      readonly bytes: number;
      readonly upTo: number;
      /** Time since the oldest of these operations was read. */
      readonly lagMs: number;
      /** When the oldest write was read that is not saved yet, milliseconds since the epoch. Null if all is saved. */
      readonly unsavedSinceMs: number | null;
      readonly requests: RequestCounts;
    }
  /** The log cannot go on: a snapshot is needed at once, and another log follows that. `isGap`: writes were gone before they were read. */
  | { readonly type: 'log-broken'; readonly why: string; readonly isGap: boolean }
  /** It is tried again. */
  | {
      readonly type: 'log-trouble';
      readonly code: ErrorCode;
      readonly message: string;
      /** When the oldest write was read that is not saved, milliseconds since the epoch. Null if none is known. */
      readonly sinceMs: number | null;
      readonly requests: RequestCounts;
    };

/** `epoch` is this host's. While this host waits, it is the holder's. */
export type LeaseEvent =
  | { readonly type: 'lease'; readonly state: 'acquired' | 'renewed' | 'released'; readonly epoch: number }
  | {
      readonly type: 'lease';
      readonly state: 'waiting';
      readonly epoch: number;
      /** The holder, and since when it has the lease: ISO 8601, by its own clock. Undefined if that cannot be read. */
      readonly host: string | undefined;
      readonly since: string | undefined;
      /** Milliseconds that this host waits at most. */
      readonly atMostMs: number;
      /** Milliseconds until the lease expires if its holder is dead. */
      readonly expiresInMs: number;
    }
  /** Another host took the lease. */
  | {
      readonly type: 'lease';
      readonly state: 'lost';
      readonly epoch: number;
      readonly to: string | undefined;
    };

export type Phase =
  | 'capture'
  | 'validate'
  | 'hash'
  | 'upload'
  | 'commit'
  | 'publish'
  | 'rotate'
  | 'download'
  | 'flush'
  | 'swap'
  | 'verify'
  | 'export'
  | 'import'
  | 'index'
  | 'analyze'
  | 'mend'
  | 'archive'
  | 'copy';

/** Where the time of an operation went. */
export interface PhaseTime {
  readonly phase: Phase;
  /** Milliseconds from its beginning to its end. Phases overlap. */
  readonly tookMs: number;
  /** How much of that no other phase was under way: so long the operation waited for this one alone, milliseconds. */
  readonly waitedMs: number;
  /** Bytes that it copied, checked, hashed, sent or received. 0 where nobody counts. */
  readonly bytes: number;
}

export type Emit = (event: AgentEvent) => void;
