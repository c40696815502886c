import { constants } from 'node:os';

/**
 * Every failure a reader may react to differently has its own code; the exit code of the command line follows
 * from it. Codes are part of the public interface: they are documented in docs/commands.md and never reused.
 */
export const exitCodes = {
  /** A defect in this program or something nobody foresaw. */
  INTERNAL: 1,
  /** The command line, environment or config file says something that cannot be done. */
  USAGE: 2,
  /** The named snapshot, object, store or rollback copy does not exist. */
  NOT_FOUND: 3,
  /** Two hosts wrote: both snapshots are kept, a person decides. */
  DIVERGED: 4,
  /** A snapshot, manifest or remote object is damaged. */
  SNAPSHOT_CORRUPT: 5,
  /** The local store is damaged. */
  STORE_CORRUPT: 5,
  /** The remote does not answer, or answers with errors that may pass. */
  REMOTE_UNREACHABLE: 6,
  /** Credentials or file permissions do not allow it. */
  DENIED: 7,
  /** Somebody else holds the store, or it never got quiet; try again. */
  BUSY: 8,
  /** The disk or a quota is full. */
  DISK_FULL: 9,
  /** A guard refused to put good data at risk; the message names the flag that insists. */
  REFUSED: 10,
  /** Written by a newer version of this program. */
  TOO_NEW: 11,
  /** The remote does not implement what was asked of it. */
  UNSUPPORTED: 1,
  /** Create-only write lost: the object already exists. Never reaches a user. */
  ALREADY_EXISTS: 1,
  /** Ctrl-C, SIGTERM or an aborted signal. */
  INTERRUPTED: 130,
} as const;

export type ErrorCode = keyof typeof exitCodes;

export interface SyncAgentErrorOptions extends ErrorOptions {
  /** The same call may succeed later; set by the remote implementations, read by the retrying decorator. */
  readonly retryable?: boolean;
  /** For so long after the first call, milliseconds, another one may help; for as long as the policy says by default. */
  readonly retryForMs?: number | undefined;
  /** It was the remote that did not let this host in, not this host's disk; set by the remote implementations. */
  readonly outOfReach?: boolean;
  /** The server asked for this pause, milliseconds. */
  readonly retryAfterMs?: number;
  /** Of INTERRUPTED: when all must have ended, on this process's monotonic clock. */
  readonly untilMs?: number | undefined;
  /** What the reader can do about it, one sentence without a final period. */
  readonly remedy?: string;
}

/** The only error class that leaves this package. Messages start with the action that failed and quote values. */
export class SyncAgentError extends Error {
  override readonly name = 'SyncAgentError';
  readonly code: ErrorCode;
  readonly retryable: boolean;
  /** The remote does not answer, does not let this host in, or has no such bucket. */
  readonly outOfReach: boolean;
  readonly retryAfterMs: number | undefined;
  readonly retryForMs: number;
  readonly untilMs: number | undefined;
  readonly remedy: string | undefined;

  constructor(code: ErrorCode, message: string, options: SyncAgentErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : {});
    this.code = code;
    this.retryable = options.retryable ?? false;
    this.outOfReach = options.outOfReach ?? code === 'REMOTE_UNREACHABLE';
    this.retryAfterMs = options.retryAfterMs;
    this.retryForMs = options.retryForMs ?? Infinity;
    this.untilMs = options.untilMs;
    this.remedy = options.remedy;
  }

  get exitCode(): number {
    return exitCodes[this.code];
  }
}

export function isSyncAgentError(error: unknown, code?: ErrorCode): error is SyncAgentError {
  return error instanceof SyncAgentError && (code === undefined || error.code === code);
}

/** The errno name (`ENOENT`, `ENOSPC` …) of a Node system error, else undefined. */
export function errnoOf(error: unknown): string | undefined {
  // libuv has no name for a quota.
  if (error instanceof Error && 'errno' in error && error.errno === -constants.errno.EDQUOT) return 'EDQUOT';
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Throws INTERRUPTED if the signal was aborted. */
export function throwIfAborted(signal: AbortSignal | undefined, action: string): void {
  if (signal?.aborted) throw interrupted(action, signal.reason);
}

export function interrupted(action: string, cause: unknown): SyncAgentError {
  return isSyncAgentError(cause, 'INTERRUPTED')
    ? cause
    : new SyncAgentError('INTERRUPTED', `${action} was interrupted`, { cause });
}

/** A file-system failure as the error a reader can act on. `action` starts the message: `Cannot write "x"`. */
export function fromFileSystem(error: unknown, action: string): SyncAgentError {
  if (error instanceof SyncAgentError) return error;
  switch (errnoOf(error)) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new SyncAgentError('DISK_FULL', `${action}: ${messageOf(error)}`, { cause: error });
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new SyncAgentError('DENIED', `${action}: ${messageOf(error)}`, { cause: error });
    case 'ENOENT':
      return new SyncAgentError('NOT_FOUND', `${action}: ${messageOf(error)}`, { cause: error });
    default:
      return new SyncAgentError('INTERNAL', `${action}: ${messageOf(error)}`, { cause: error });
  }
}
