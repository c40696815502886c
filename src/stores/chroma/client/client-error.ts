import { SyncAgentError, interrupted, messageOf } from '../../../platform/errors.ts';
import type { ErrorCode } from '../../../platform/errors.ts';

/** Says what a client's error means to its caller. The package's classes are told apart by their names. */
const codes: Readonly<Record<string, ErrorCode>> = {
  ChromaConnectionError: 'REMOTE_UNREACHABLE',
  ChromaRateLimitError: 'REMOTE_UNREACHABLE',
  ChromaServerError: 'REMOTE_UNREACHABLE',
  ChromaUnauthorizedError: 'DENIED',
  ChromaForbiddenError: 'DENIED',
  ChromaNotFoundError: 'NOT_FOUND',
  InvalidCollectionError: 'NOT_FOUND',
  ChromaClientError: 'USAGE',
  ChromaValueError: 'USAGE',
  ChromaUniqueError: 'USAGE',
  ChromaQuotaExceededError: 'USAGE',
  InvalidArgumentError: 'USAGE',
};

export function clientError(error: unknown, action: string): SyncAgentError {
  if (error instanceof SyncAgentError) return error;
  const name = error instanceof Error ? error.name : '';
  // Without a class of its own it comes from the network.
  const code = codes[name] ?? (error instanceof TypeError ? 'REMOTE_UNREACHABLE' : 'INTERNAL');
  return new SyncAgentError(code, `Cannot ${action}: ${messageOf(error)}`, {
    // A server error is not: the server refuses these records each time.
    retryable: code === 'REMOTE_UNREACHABLE' && name !== 'ChromaServerError',
    outOfReach: false,
    cause: error,
  });
}

export interface Deadline {
  readonly ms: number;
  readonly signal: AbortSignal | undefined;
}

/** The client takes no signal: a request that is given up may still reach the server. */
export async function within<T>(
  { ms, signal }: Deadline,
  action: string,
  request: () => Promise<T>,
): Promise<T> {
  if (signal?.aborted === true) throw interrupted('Writing', signal.reason);
  let timer: NodeJS.Timeout | undefined;
  let onAbort: (() => void) | undefined;
  const ended = new Promise<never>((_, reject) => {
    const late = new SyncAgentError(
      'REMOTE_UNREACHABLE',
      `Cannot ${action}: no complete answer in ${ms} ms`,
      {
        retryable: true,
        outOfReach: false,
        timedOut: true,
        remedy: 'Look at the server: it is overloaded, or hangs',
      },
    );
    timer = setTimeout(() => reject(late), ms);
    onAbort = () => reject(interrupted('Writing', signal?.reason));
    signal?.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([request(), ended]);
  } catch (error) {
    throw clientError(error, action);
  } finally {
    clearTimeout(timer);
    if (onAbort !== undefined) signal?.removeEventListener('abort', onAbort);
  }
}
