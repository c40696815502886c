import { SyncAgentError } from '../platform/errors.ts';

/** The error for a URL that cannot be a remote. Never repeats a credential that was put into the URL. */
export function unusableUrl(url: string, complaint: string, remedy: string, cause?: unknown): SyncAgentError {
  // eslint-disable-next-line no-control-regex -- a control character must not reach a terminal
  const shown = redact(url).replace(/[\u0000-\u001f\u007f]/g, '?');
  return new SyncAgentError('USAGE', `Cannot use "${shown}" as the remote: ${complaint}`, {
    remedy,
    ...(cause === undefined ? {} : { cause }),
  });
}

/** Cuts out `key:secret@`. A secret key may hold slashes, and the "@" may have been forgotten. */
function redact(url: string): string {
  return url.replace(/\/\/.*@/, '//***@').replace(/\/\/[^/*]*:.*$/, '//***');
}
