import { constants } from 'node:os';

/**
 * A failure has a code of its own if users may react to it in another way than to the others. The exit code follows from
 * the code. Codes are part of the public interface: docs/commands.md lists them, and none is ever reused.
 */
export const exitCodes = {
  /** A defect in this program, or a failure that it does not know. */
  INTERNAL: 1,
  /** The command line, the environment or the configuration file asks for something impossible. */
  USAGE: 2,
  /** The named snapshot, object, store or rollback copy does not exist. */
  NOT_FOUND: 3,
  /** Two hosts wrote. Both snapshots are kept, and a person decides. */
  DIVERGED: 4,
  /** A snapshot, manifest or remote object is damaged. */
  SNAPSHOT_CORRUPT: 5,
  /** The local store is damaged. */
  STORE_CORRUPT: 5,
  /** The remote does not answer, or answers with errors that may pass. */
  REMOTE_UNREACHABLE: 6,
  /** Credentials or file permissions forbid it. */
  DENIED: 7,
  /** Another process holds the store, or the store never became quiet. Try again. */
  BUSY: 8,
  /** The disk or a quota is full. */
  DISK_FULL: 9,
  /** A guard refused to put good data at risk. The message names the flag that overrides it. */
  REFUSED: 10,
  /** Written by a newer version of this program. */
  TOO_NEW: 11,
  /** The remote does not implement the request. */
  UNSUPPORTED: 1,
  /** A create-only write found that the object already exists. Never reaches a user. */
  ALREADY_EXISTS: 1,
  /** Ctrl-C, SIGTERM or an aborted signal. */
  INTERRUPTED: 130,
} as const;

export type ErrorCode = keyof typeof exitCodes;

export interface SyncAgentErrorOptions extends ErrorOptions {
  /** The same call may succeed later. The remotes set it, the retrying remote reads it. */
  readonly retryable?: boolean;
  /** Milliseconds after the first call during which a retry may help. Default: as long as the retry policy says. */
  readonly retryForMs?: number | undefined;
  /** The remote refused this host. This host's own disk did not. The remotes set it. */
  readonly outOfReach?: boolean;
  /** A smaller request may be answered in time. */
  readonly timedOut?: boolean;
  /** Milliseconds that the server asked to wait. */
  readonly retryAfterMs?: number;
  /** For INTERRUPTED: when all work must have ended, by this process's monotonic clock. */
  readonly untilMs?: number | undefined;
  /** What the user can do about it: one sentence without a final period. */
  readonly remedy?: string;
}

/** The only error class that leaves this package. A message starts with the action that failed, and quotes values. */
export class SyncAgentError extends Error {
  override readonly name = 'SyncAgentError';
  readonly code: ErrorCode;
  readonly retryable: boolean;
  /** The remote does not answer, refuses this host, or has no such bucket. */
  readonly outOfReach: boolean;
  readonly timedOut: boolean;
  readonly retryAfterMs: number | undefined;
  readonly retryForMs: number;
  readonly untilMs: number | undefined;
  readonly remedy: string | undefined;

  constructor(code: ErrorCode, message: string, options: SyncAgentErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : {});
    this.code = code;
    this.retryable = options.retryable ?? false;
    this.outOfReach = options.outOfReach ?? code === 'REMOTE_UNREACHABLE';
    this.timedOut = options.timedOut ?? false;
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

/** The errno name (`ENOENT`, `ENOSPC` …) of a Node system error. Undefined for any other error. */
export function errnoOf(error: unknown): string | undefined {
  // libuv has no name for EDQUOT.
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

/** A file-system failure as an error that a user can act on. `action` starts the message: `Cannot write "x"`. */
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
