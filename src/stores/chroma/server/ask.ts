import { SyncAgentError } from '../../../platform/errors.ts';
import type { ErrorCode } from '../../../platform/errors.ts';
import { call } from './http-call.ts';
import type { Endpoint, ServerCall } from './http-call.ts';

export type Asker = (
  request: ServerCall,
) => Promise<{ readonly text: string; /** Starts a message. */ readonly failed: string }>;

/** Makes requests whose answers are failures reject. */
export function asker(endpoint: Endpoint): Asker {
  return async (request) => {
    const { status, text } = await call(endpoint, request);
    const failed = `Cannot ${request.action} of the Chroma server at "${endpoint.base}"`;
    if (status >= 200 && status < 300) return { text, failed };
    throw new SyncAgentError(codeOf(status), `${failed}: it answers ${status}${wordsOf(text)}`, {
      retryable: status === 429 || status >= 502,
      outOfReach: false,
      ...(status === 401 || status === 403 ? { remedy: 'Put the user and password into the URL' } : {}),
    });
  };
}

function codeOf(status: number): ErrorCode {
  if (status === 404) return 'NOT_FOUND';
  if (status === 401 || status === 403) return 'DENIED';
  if (status === 429 || status >= 500) return 'REMOTE_UNREACHABLE';
  return status >= 400 ? 'USAGE' : 'UNSUPPORTED';
}

/** The server's own message, which is text of a stranger: short, and on one line. */
function wordsOf(text: string): string {
  let words = text;
  try {
    const { error, message } = JSON.parse(text) as { readonly error?: unknown; readonly message?: unknown };
    words = [error, message].filter((each) => typeof each === 'string').join(': ');
  } catch {
    // Proxies answer in HTML.
  }
  const line = words.replaceAll(/[\s\p{Cc}]+/gu, ' ').trim();
  return line === '' ? '' : ` (${line.slice(0, 300)})`;
}
