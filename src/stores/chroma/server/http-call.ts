import { eitherSignal } from '../../../platform/abort-signals.ts';
import { SyncAgentError, errnoOf, interrupted, messageOf, throwIfAborted } from '../../../platform/errors.ts';
import { version } from '../../../version.ts';

/** How a Chroma server is reached. */
export interface ServerAddress {
  /** `http://127.0.0.1:8000`, perhaps with a path below which a proxy has the server. */
  readonly url: string;
  /** Sent with every request: a token, for example. A user and password in the URL become `authorization`. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Time for each answer, all of it, milliseconds. Default: 30 s. */
  readonly timeoutMs?: number | undefined;
}

/** One request of the API. */
export interface ServerCall {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Below the server's URL, such as `/api/v2/heartbeat`. */
  readonly path: string;
  readonly body?: string | undefined;
  /** Ends the message `Cannot … of the Chroma server at "http://…"`. */
  readonly action: string;
  readonly signal?: AbortSignal | undefined;
  /** Instead of the address's. */
  readonly timeoutMs?: number | undefined;
}

export interface ServerAnswer {
  readonly status: number;
  readonly text: string;
}

export const defaultTimeoutMs = 30_000;

/** An address whose URL is checked, and without credentials in it. */
export interface Endpoint {
  /** For messages and for requests, without a slash at the end. */
  readonly base: string;
  readonly headers: Headers;
  readonly timeoutMs: number;
}

/** USAGE for a URL that is none of a Chroma server. */
export function endpointOf({ url, headers, timeoutMs = defaultTimeoutMs }: ServerAddress): Endpoint {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !/^https?:$/.test(parsed.protocol) || parsed.search + parsed.hash !== '') {
    const shown = url.replace(/\/\/[^/]*@/, '//***@');
    throw new SyncAgentError('USAGE', `Cannot use "${shown}" as the URL of a Chroma server`, {
      remedy: 'Write it as http://HOST:PORT, such as http://127.0.0.1:8000',
    });
  }
  const sent = new Headers({
    'content-type': 'application/json',
    'user-agent': `sync-agent/${version}`,
    ...headers,
  });
  if (parsed.username !== '' || parsed.password !== '') {
    const user = `${decodeURIComponent(parsed.username)}:${decodeURIComponent(parsed.password)}`;
    sent.set('authorization', `Basic ${Buffer.from(user).toString('base64')}`);
    // fetch refuses a URL that holds credentials, and quotes it.
    [parsed.username, parsed.password] = ['', ''];
  }
  return { base: parsed.href.replace(/\/+$/, ''), headers: sent, timeoutMs };
}

/**
 * Makes one request and reads the whole answer, whatever its status. Rejects with REMOTE_UNREACHABLE if there is no server, or no
 * complete answer in time; with INTERRUPTED if the signal aborts. Redirects are answers: they are not followed.
 */
export async function call(endpoint: Endpoint, request: ServerCall): Promise<ServerAnswer> {
  const { base, headers } = endpoint;
  const { method, path, body, action, signal, timeoutMs = endpoint.timeoutMs } = request;
  const failed = `Cannot ${action} of the Chroma server at "${base}"`;
  throwIfAborted(signal, `Asking the Chroma server at "${base}"`);
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), timeoutMs);
  const either = eitherSignal(late.signal, signal);
  try {
    const response = await fetch(base + path, {
      method,
      headers,
      redirect: 'manual',
      signal: either.signal,
      ...(body === undefined ? {} : { body }),
    });
    return { status: response.status, text: await response.text() };
  } catch (error) {
    if (signal?.aborted === true) throw interrupted(`Asking the Chroma server at "${base}"`, signal.reason);
    if (late.signal.aborted) {
      throw new SyncAgentError('REMOTE_UNREACHABLE', `${failed}: no complete answer in ${timeoutMs} ms`, {
        retryable: true,
        outOfReach: false,
        timedOut: true,
        remedy: 'Look at the server: it is overloaded, or hangs',
        cause: error,
      });
    }
    throw notThere(failed, error);
  } finally {
    clearTimeout(timer);
    either.release();
  }
}

/** fetch hides what happened in the cause of "fetch failed". */
function notThere(failed: string, error: unknown): SyncAgentError {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  const code = errnoOf(cause) ?? errnoOf(error);
  const why =
    code === 'ECONNREFUSED'
      ? 'nothing listens there'
      : code === 'UND_ERR_SOCKET' || code === 'ECONNRESET'
        ? `it broke the connection (${messageOf(cause)})`
        : `it cannot be reached (${code ?? messageOf(cause)})`;
  return new SyncAgentError('REMOTE_UNREACHABLE', `${failed}: ${why}`, {
    retryable: true,
    outOfReach: false,
    remedy: 'Check the URL, and whether the server runs',
    cause: error,
  });
}
